# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a random run leaves behind, and what it reads out of a failover's answer."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from tests.faults.random_acts import announced
from tests.faults.random_report import HEAD, TITLE, Result, Told, section, with_section

NOON = 20000 * 86400 + 12 * 3600.0


@pytest.mark.parametrize(
    ("said", "ago"),
    [
        ("node2 is silent.\nWhat node2 accepted after 11:59:50 (9 s ago) can't be known.", 10),
        ("What node2 accepted after 11:59:50 (9 s\n    ago) can't be known.", 10),
        ("What node2 accepted after 12:00:00 (0 s ago) can't be known.", 0),
    ],
)
def test_since_when_nothing_is_known(said: str, ago: float) -> None:
    assert announced(said, NOON, 1000.0) == 1000.0 - ago


def test_over_midnight() -> None:
    assert announced("accepted after 23:59:58 (3 s ago)", 20000 * 86400 + 1.0, 1000.0) == 997.0


def test_nothing_said() -> None:
    assert announced("Nothing that node1 wrote is missing on node2.", NOON, 1000.0) is None


def told(number: int, passed: bool = True) -> Told:
    return Told(number, "node1", ["kill primary", "run failover"], "node2", 12.4, False, ["rejoin"], 900, 7, passed)


def result() -> Result:
    return Result(
        5, 10.0, [told(1), Told(2, "node1", ["pause primary"], "node1", 3, True, [], 950, 0, True), told(3, False)]
    )


def test_a_row_counts_what_has_passed() -> None:
    assert result().row() == "| 5 | 2 | 3 | 1 | 12 s | 950 | 7 | 0 |"
    assert Result(5, 10.0).row() == "| 5 | 0 | 0 | 0 | 0 s | 0 | 0 | 0 |"


def test_the_summary_names_seed_and_events() -> None:
    found = result()
    assert "passed: seed 5, 3 rounds (2 kill, 2 run, 1 pause)" in found.summary()
    found.findings.append("two writers")
    assert "FAILED: seed 5" in found.summary()


def test_the_section_has_a_line_per_run() -> None:
    text = section({"5": asdict(result()), "6": asdict(Result(6, 10.0))})
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table == [HEAD, "| --- " * 8 + "|", result().row()]


def test_the_section_takes_the_place_of_an_earlier_one() -> None:
    once = with_section("# Page\n\n| a |\n", f"{TITLE}\n\nold\n")
    assert once == f"# Page\n\n| a |\n\n{TITLE}\n\nold\n"
    assert with_section(once, f"{TITLE}\n\nnew\n") == f"# Page\n\n| a |\n\n{TITLE}\n\nnew\n"
