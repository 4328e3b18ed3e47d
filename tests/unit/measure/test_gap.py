# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The write gap, computed from made attempts."""

from __future__ import annotations

import pytest

from measure.gap import write_gap
from measure.records import Attempt, Outcome


def commits(*times_ms: float) -> list[Attempt]:
    """Acknowledged commits that each took 1 ms and ended at these times."""
    return [
        Attempt(number, (ms - 1) / 1000, ms / 1000, Outcome.ACCEPTED) for number, ms in enumerate(times_ms, start=1)
    ]


STEADY = [float(ms) for ms in range(0, 1000, 2)]


def without(begin_ms: float, end_ms: float) -> list[float]:
    """Steady commits but for those strictly between the two times."""
    return [ms for ms in STEADY if not begin_ms < ms < end_ms]


@pytest.mark.parametrize(
    ("times_ms", "window_ms", "expected_ms"),
    [
        pytest.param(STEADY, (100, 900), 2, id="no gap is one pace"),
        pytest.param(without(400, 560), (100, 900), 160, id="a gap inside the window"),
        pytest.param(without(400, 560), (450, 500), 160, id="a gap that covers the whole window"),
        pytest.param(without(400, 560), (500, 900), 160, id="a gap that began before the window"),
        pytest.param(without(400, 560), (100, 450), 160, id="a gap that ends after the window"),
        pytest.param(without(400, 560), (600, 900), 2, id="a gap before the window does not count"),
        pytest.param(without(400, 560), (100, 300), 2, id="a gap after the window does not count"),
    ],
)
def test_gap(times_ms: list[float], window_ms: tuple[float, float], expected_ms: float) -> None:
    begin, end = (ms / 1000 for ms in window_ms)
    assert write_gap(commits(*times_ms), begin, end).gap_ms == pytest.approx(expected_ms)


def test_the_gap_is_placed_in_time_and_told_from_the_usual() -> None:
    gap = write_gap(commits(*without(400, 560)), 0.1, 0.9)
    assert gap.began == pytest.approx(0.4)
    assert gap.ended == pytest.approx(0.56)
    assert gap.usual_ms == pytest.approx(2)


def test_order_of_the_records_does_not_matter() -> None:
    attempts = commits(*without(400, 560))
    assert write_gap(attempts[::-1], 0.1, 0.9) == write_gap(attempts, 0.1, 0.9)


@pytest.mark.parametrize("outcome", [Outcome.DOUBT, Outcome.REFUSED, Outcome.UNREACHABLE])
def test_only_acknowledged_commits_end_a_gap(outcome: Outcome) -> None:
    attempts = [*commits(*without(400, 560)), Attempt(9999, 0.45, 0.5, outcome)]
    assert write_gap(attempts, 0.1, 0.9).gap_ms == pytest.approx(160)


def test_what_became_of_the_writes_in_the_window_is_counted() -> None:
    attempts = [
        *commits(0, 200, 400, 1000),
        Attempt(10, 0.21, 0.22, Outcome.DOUBT),
        Attempt(11, 0.23, 0.24, Outcome.REFUSED),
        Attempt(12, 0.24, 0.25, Outcome.REFUSED),
        Attempt(13, 0.95, 0.96, Outcome.DOUBT),
    ]
    gap = write_gap(attempts, 0.1, 0.9)
    assert (gap.acknowledged, gap.doubt, gap.refused) == (2, 1, 2)


@pytest.mark.parametrize(
    ("times_ms", "window_ms", "why"),
    [
        pytest.param([], (100, 900), "before the window", id="nothing written"),
        pytest.param([200.0, 950.0], (100, 900), "before the window", id="writer started too late"),
        pytest.param([50.0, 200.0], (100, 900), "after the window", id="writer never came back"),
        pytest.param(STEADY, (900, 100), "ends before it begins", id="impossible window"),
    ],
)
def test_what_was_not_measured_is_no_number(times_ms: list[float], window_ms: tuple[float, float], why: str) -> None:
    gap = write_gap(commits(*times_ms), *(ms / 1000 for ms in window_ms))
    assert gap.gap_ms is None
    assert why in gap.why
