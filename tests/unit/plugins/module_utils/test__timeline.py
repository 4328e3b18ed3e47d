# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two servers parted: every shape of two pasts, and the files that tell of them."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._timeline import (
    Stretch,
    parse_history,
    parted,
    same_number,
    segment_number,
    segments,
)
from hypothesis import given
from hypothesis import strategies as st

SEGMENT = 16 * 1024 * 1024


def past(*ends: int, timelines: tuple[int, ...] = ()) -> list[Stretch]:
    """A server that left its timelines at these positions, and is on the next one."""
    numbers = timelines or tuple(range(1, len(ends) + 2))
    begins = (0, *ends)
    return [Stretch(number, begin, end) for number, begin, end in zip(numbers, begins, (*ends, None), strict=True)]


def test_a_history_file() -> None:
    text = "1\t0/A000198\tno recovery target specified\n\n# a comment\n2\t0/B000060\tbefore 2026-11-22\n"
    assert parse_history(text, 3) == past(0xA000198, 0xB000060)
    assert parse_history("", 1) == past()


# (own past, the other's, what only this one can have)
PARTED = [
    pytest.param(past(), past(), [], id="the same timeline"),
    pytest.param(past(), past(100), [Stretch(1, 100)], id="the other was promoted"),
    pytest.param(past(), past(100, 200), [Stretch(1, 100)], id="the other was promoted twice"),
    pytest.param(past(100), past(100), [], id="both followed the same promotion"),
    pytest.param(past(100), past(100, 200), [Stretch(2, 100 + 100)], id="promoted from the second timeline"),
    pytest.param(past(100), past(), [Stretch(2, 100)], id="only this one was promoted"),
    pytest.param(past(100), past(80), [Stretch(1, 80, 100), Stretch(2, 100)], id="one number twice, the other earlier"),
    pytest.param(past(80), past(100), [Stretch(2, 80)], id="one number twice, this one earlier"),
    pytest.param(
        past(100), past(80, timelines=(1, 3)), [Stretch(1, 80, 100), Stretch(2, 100)], id="two promotions, two numbers"
    ),
    pytest.param([Stretch(7, 5)], past(), [Stretch(7, 5)], id="nothing in common"),
]


@pytest.mark.parametrize(("own", "other", "since"), PARTED)
def test_where_they_parted(own: list[Stretch], other: list[Stretch], since: list[Stretch]) -> None:
    assert parted(own, other) == since


PASTS = st.lists(st.integers(1, 50), max_size=4, unique=True).map(lambda ends: past(*sorted(ends)))


@given(PASTS, PASTS)
def test_what_only_one_has_begins_where_the_other_s_past_left(own: list[Stretch], other: list[Stretch]) -> None:
    since = parted(own, other)
    # Byte for byte: a position is common when both have it on the same timeline, begun at the same place.
    for position in range(60):
        mine = next(part for part in reversed(own) if part.begin <= position)
        theirs = next(part for part in reversed(other) if part.begin <= position)
        alone = any(part.begin <= position and (part.end is None or position < part.end) for part in since)
        if alone:
            earlier = [(a, b) for a, b in zip(own, other, strict=False) if a.begin <= position and b.begin <= position]
            assert (mine.timeline, mine.begin) != (theirs.timeline, theirs.begin) or any(a != b for a, b in earlier)
        else:
            assert (mine.timeline, mine.begin) == (theirs.timeline, theirs.begin)


@pytest.mark.parametrize(
    ("own", "other", "same"), [(past(80), past(100), True), (past(), past(100), False), (past(80), past(80), False)]
)
def test_timelines_of_one_number_that_began_apart(own: list[Stretch], other: list[Stretch], same: bool) -> None:
    assert same_number(own, other) is same


@pytest.mark.parametrize(
    ("begin", "end", "names"),
    [
        (0x3000060, 0x3000061, ["000000010000000000000003"]),
        (0x3000060, 0x3000060, ["000000010000000000000003"]),
        (0x3000060, 0x4000000, ["000000010000000000000003"]),
        (0x3FFFFFF, 0x4000001, ["000000010000000000000003", "000000010000000000000004"]),
        (0xFFFFFFFF, 0x100000001, ["0000000100000000000000FF", "000000010000000100000000"]),
    ],
)
def test_segments(begin: int, end: int, names: list[str]) -> None:
    assert segments(1, begin, end, SEGMENT) == names
    assert [segment_number(name, SEGMENT) for name in names] == [begin // SEGMENT + n for n in range(len(names))]


@pytest.mark.parametrize("name", ["archive_status", "00000002.history", "000000010000000000000003.partial", ""])
def test_no_segment(name: str) -> None:
    assert segment_number(name, SEGMENT) is None
