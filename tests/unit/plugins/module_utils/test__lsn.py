# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log sequence numbers: notation, order and distance."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._lsn import (
    format_bytes,
    format_lsn,
    lsn_distance,
    parse_lsn,
)
from hypothesis import given
from hypothesis import strategies as st

POSITIONS = st.integers(min_value=0, max_value=2**64 - 1)


@given(POSITIONS)
def test_what_is_written_is_read(position: int) -> None:
    assert parse_lsn(format_lsn(position)) == position


@given(POSITIONS, POSITIONS)
def test_order_is_that_of_the_bytes(one: int, other: int) -> None:
    assert (parse_lsn(format_lsn(one)) < parse_lsn(format_lsn(other))) == (one < other)


@given(POSITIONS, POSITIONS)
def test_distance_is_what_the_one_behind_misses(ahead: int, behind: int) -> None:
    assert lsn_distance(format_lsn(ahead), format_lsn(behind)) == max(0, ahead - behind)


@pytest.mark.parametrize(
    ("text", "position"), [("0/0", 0), ("0/FFFFFFFF", 2**32 - 1), ("1/0", 2**32), ("a/b", 0xA0000000B)]
)
def test_notation(text: str, position: int) -> None:
    assert parse_lsn(text) == position


@pytest.mark.parametrize("text", ["", "0", "0/", "/0", "x/0", "0/0/0"])
def test_what_is_no_position_is_not_guessed_at(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_lsn(text)


@pytest.mark.parametrize(("ahead", "behind"), [(None, "0/1"), ("0/1", None), (None, None), ("", "0/1")])
def test_an_unknown_position_has_no_distance(ahead: str | None, behind: str | None) -> None:
    assert lsn_distance(ahead, behind) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**20, "1.0 MiB"),
        (2**30, "1.0 GiB"),
        (2**40, "1.0 TiB"),
        (2**50, "1024.0 TiB"),
    ],
)
def test_sizes_as_people_read_them(count: int, text: str) -> None:
    assert format_bytes(count) == text
