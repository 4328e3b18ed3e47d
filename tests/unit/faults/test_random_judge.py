# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of a random run: what proves two writers, and which rows may be missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measure.records import Attempt, Outcome, Probe
from tests.faults.random_judge import Cover, Writers, gone, unexplained


def writes(node: str, timeline: int, *at: float) -> list[Probe]:
    """Accepted writes, each taking 0.1 s."""
    return [Probe(node, timeline, begin, begin + 0.1, Outcome.ACCEPTED) for begin in at]


def proofs(*probes: list[Probe]) -> list[str]:
    writers = Writers()
    for some in probes:
        writers.add(some)
    return writers.proofs()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param(writes("a", 1, 0, 1, 2), writes("b", 2, 1.5, 2.5), id="the old one still writes"),
        pytest.param(writes("a", 1, 0, 3), writes("b", 2, 1), id="a single write in between"),
        pytest.param(writes("a", 1, 1), writes("b", 2, 0, 3), id="a single write of the old one in between"),
        pytest.param(writes("a", 2, 0, 1, 2), writes("b", 2, 1.5, 2.5), id="the same timeline"),
        pytest.param(writes("a", 5, 0, 9), writes("b", 2, 3, 4), id="the higher one is longer"),
    ],
)
def test_two_writers(one: list[Probe], two: list[Probe]) -> None:
    for first, second in ((one, two), (two, one)):
        (proof,) = proofs(first, second)
        assert "a on timeline" in proof and "b on timeline" in proof and "both accepted writes" in proof


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param(writes("a", 1, 0, 1), writes("b", 2, 2, 3), id="one after the other"),
        pytest.param(writes("a", 1, 0, 1), writes("a", 2, 0.5, 3), id="one node"),
        pytest.param(writes("a", 7, 0, 1), writes("b", 6, 2, 3), id="a timeline that was lost"),
        pytest.param(writes("a", 6, 0, 1), writes("b", 6, 2, 3), id="its number taken again"),
        pytest.param(writes("a", 1, 0, 1), writes("b", 2, 1.05, 2), id="a slow answer"),
        pytest.param(writes("a", 1, 0, 1), writes("b", 2, 1.05), id="a slow single answer"),
        pytest.param(writes("a", 1, 1), writes("b", 2, 1), id="two single writes"),
        pytest.param(
            writes("a", 1, 0, 2),
            [Probe("b", None, 1, 1.1, outcome) for outcome in Outcome if outcome is not Outcome.ACCEPTED],
            id="refused",
        ),
    ],
)
def test_no_two_writers(one: list[Probe], two: list[Probe]) -> None:
    assert proofs(one, two) == proofs(two, one) == []


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=8))
def test_roles_that_change_in_turn_are_never_two_writers(turns: list[str]) -> None:
    found = [probe for at, node in enumerate(turns) for probe in writes(node, at, *(at + n / 5 for n in range(4)))]
    assert proofs(found) == []


def test_answers_are_counted() -> None:
    writers = Writers()
    writers.add([*writes("a", 1, 0, 1), Probe("a", None, 2, 3, Outcome.DOUBT), Probe("b", None, 2, 3, Outcome.REFUSED)])
    assert writers.answers == {"a": 2, "b": 1}


# Ten rows, acknowledged at 1.0 to 10.0.
ROWS = [Attempt(number, number - 0.5, float(number), Outcome.ACCEPTED) for number in range(1, 11)]


def without(*numbers: int) -> set[int]:
    return {attempt.number for attempt in ROWS} - set(numbers)


def test_what_is_gone() -> None:
    assert gone(ROWS, without()) == []
    found = gone(ROWS, without(3, 4, 9, 10))
    assert [(part.first.number, part.last.number, part.count, part.next_at) for part in found] == [
        (3, 4, 2, 5.0),
        (9, 10, 2, None),
    ]
    assert str(found[0]) == "2 acknowledged rows (3 to 4)"


@pytest.mark.parametrize(
    "cover",
    [
        Cover(4.2, 4.8),
        Cover(4.2, 4.8, heard=3.0),
        Cover(4.2, 4.8, heard=4.9),  # within the slack
        Cover(3.0, 20.0),
    ],
)
def test_a_failover_explains_the_last_rows_before_it(cover: Cover) -> None:
    assert unexplained(gone(ROWS, without(3, 4)), [cover]) == []


def test_a_failover_explains_rows_after_which_nothing_was_written() -> None:
    assert unexplained(gone(ROWS, without(9, 10)), [Cover(10.5, 12.0)]) == []


@pytest.mark.parametrize(
    ("covers", "why"),
    [
        ([], "no failover came between"),
        ([Cover(5.5, 6.0)], "no failover came between"),  # a row after the lost ones was there before it
        ([Cover(1.0, 3.5)], "no failover came between"),  # it was over before they were written
        ([Cover(4.2, 4.8, nothing=True)], "said that nothing was missing"),
        ([Cover(4.2, 4.8, heard=6.0)], "3.0 s older than the failover said"),
        ([Cover(4.2, 4.8, heard=6.0), Cover(4.2, 4.8, nothing=True)], "3.0 s older"),
    ],
)
def test_lost_rows_that_nothing_explains(covers: list[Cover], why: str) -> None:
    (said,) = unexplained(gone(ROWS, without(3, 4)), covers)
    assert why in said and "2 acknowledged rows (3 to 4)" in said


def test_each_gap_needs_a_failover_of_its_own() -> None:
    (said,) = unexplained(gone(ROWS, without(3, 7)), [Cover(3.2, 3.8)])
    assert "(7 to 7)" in said


def test_two_failovers_in_a_row_explain_one_gap() -> None:
    """The first one lost row 3, and the second one rows 4 and 5, which the first one's primary had written."""
    missing = gone(ROWS, without(3, 4, 5))
    assert unexplained(missing, [Cover(3.2, 3.8, heard=2.5), Cover(5.2, 5.8, heard=4.5)]) == []
    assert "no failover came between" in unexplained(missing, [Cover(3.2, 3.8, heard=2.5)])[0]
    assert "nothing was missing" in unexplained(missing, [Cover(3.2, 3.8), Cover(5.2, 5.8, nothing=True)])[0]
    assert "older than" in unexplained(missing, [Cover(5.2, 5.8, heard=5.5)])[0]
