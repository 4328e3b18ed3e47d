# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is dropped on a node, and what a failover's answer allows to be lost."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.random_acts import Command, rules
from tests.faults.random_plan import CUTS
from tests.scenarios.support import Lab

LAB = Lab("unit", "198.18.1.0/24", Path())


@pytest.mark.parametrize(
    ("detail", "dropped"),
    [
        ("to the other", ["OUTPUT -d 198.18.1.12"]),
        ("from the other", ["INPUT -s 198.18.1.12"]),
        ("both ways", ["OUTPUT -d 198.18.1.12", "INPUT -s 198.18.1.12"]),
        ("control node", ["INPUT -s 198.18.1.1 -p tcp --dport 22"]),
        ("clients", ["INPUT -d 198.18.1.10 -p tcp --dport 5432"]),
    ],
)
def test_what_is_dropped(detail: str, dropped: list[str]) -> None:
    assert rules(LAB, "node1", detail) == dropped


def test_every_cut_is_known() -> None:
    assert all(rules(LAB, node, detail) for node in ("node1", "node2") for detail in CUTS)


def command(folder: Path, said: str, code: int = 0, failover: bool = True, killed: bool = False) -> Command:
    log = folder / "log"
    log.write_text(said, encoding="utf-8")
    process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"], text=True)
    process.wait(10)
    return Command("failover", process, log, failover, killed=killed)


def test_a_failover_covers_what_it_announced(tmp_path: Path) -> None:
    clock = time.strftime("%H:%M:%S", time.localtime(time.time() - 5))
    cover = command(tmp_path, f"What node1 accepted after {clock} (5 s ago) can't be known.").cover(99.0)
    assert cover and (cover.ended, cover.nothing) == (99.0, False)
    assert cover.heard is not None and 4 < time.monotonic() - cover.heard < 8


def test_a_failover_that_promised_everything_covers_nothing(tmp_path: Path) -> None:
    cover = command(tmp_path, "Nothing that node1 wrote is missing on node2.").cover(99.0)
    assert cover and cover.nothing and cover.heard is None


@pytest.mark.parametrize(("code", "killed"), [(3, False), (137, True)])
def test_one_that_was_cut_off_has_promised_nothing(tmp_path: Path, code: int, killed: bool) -> None:
    cover = command(tmp_path, "Nothing that node1 wrote is missing on node2.", code, killed=killed).cover(99.0)
    assert cover and not cover.nothing and cover.heard is None


@pytest.mark.parametrize(
    ("said", "failover"),
    [("backup-ha: Nothing was changed.\nbackup-ha: It is on.", True), ("Nothing was\n  changed.", True), ("", False)],
)
def test_a_refusal_and_other_commands_cover_nothing(tmp_path: Path, said: str, failover: bool) -> None:
    assert command(tmp_path, said, 1, failover).cover(99.0) is None


def test_what_came_of_a_command(tmp_path: Path) -> None:
    assert command(tmp_path, "all is well").wait().startswith("ended with 0 after 0 s")
    refused = command(tmp_path, "look\nbackup-ha: Nothing was changed. It is on.", 1)
    assert refused.wait() == "ended with 1 after 0 s: backup-ha: Nothing was changed. It is on."
    lost = command(tmp_path, "", 137)
    assert "137" in lost.wait() and lost.killed
    assert lost.wait() == "killed"
