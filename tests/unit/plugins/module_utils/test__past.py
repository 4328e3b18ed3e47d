# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which histories keep a server with a fork from starting, and are dropped before it starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _past
from ansible_collections.duet.backup_ha.plugins.module_utils._control import ControlData
from ansible_collections.duet.backup_ha.plugins.module_utils._past import (
    find_outvoter,
    leaves_out,
    put_back_histories,
    set_aside_outvoted_histories,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._timeline import Stretch, outvoter, parse_history

THIRD = "1\t0/3000000\treason\n2\t0/5000000\treason\n"  # the new primary left timeline 2 at 0/5000000


def control(checkpoint: str, timeline: int, recovery: str = "0/0", recovery_timeline: int = 0) -> ControlData:
    return ControlData("in archive recovery", checkpoint, timeline, "7", False, True, recovery, recovery_timeline)


@pytest.mark.parametrize(
    ("state", "left_out"),
    [
        (control("0/4000000", 2), False),
        (control("0/5000028", 2), True),
        (control("0/5000000", 2), True),
        (control("0/2000000", 1, "0/4000000", 2), False),
        (control("0/4000000", 2, "0/5000000", 2), False),
        (control("0/4000000", 2, "0/5000001", 2), True),
        (control("0/3000028", 1), True),
        (control("0/6000000", 3, "0/6000100", 3), False),
    ],
)
def test_where_postgresql_refuses_to_go_along(state: ControlData, left_out: bool) -> None:
    assert leaves_out(parse_history(THIRD, 3), state) is left_out


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with the WAL of timeline 2, and the histories of both timelines that were promoted so far."""
    monkeypatch.setattr(_past, "OUTVOTED_DIRECTORY", tmp_path / "outvoted")
    wal = tmp_path / "data" / "pg_wal"
    wal.mkdir(parents=True)
    (wal / "00000002.history").write_text("1\t0/3000000\treason\n", encoding="ascii")
    (wal / "00000003.history").write_text(THIRD, encoding="ascii")
    (wal / "000000020000000000000005").touch()
    return tmp_path / "data"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize(
    ("state", "moved"),
    [
        (control("0/5000028", 2), ["00000003.history"]),
        (control("0/4000000", 2), []),
        (control("0/6000000", 3), []),
    ],
)
def test_what_is_set_aside_before_a_start(data: Path, state: ControlData, moved: list[str]) -> None:
    before = names(data / "pg_wal")
    set_aside_outvoted_histories(str(data), state)
    assert names(data / "pg_wal") == [name for name in before if name not in moved]
    assert names(_past.OUTVOTED_DIRECTORY / "7") == moved


def test_what_can_not_be_kept_is_not_removed(data: Path) -> None:
    _past.OUTVOTED_DIRECTORY.touch()
    with pytest.raises(NotADirectoryError):
        set_aside_outvoted_histories(str(data), control("0/5000028", 2))
    assert "00000003.history" in names(data / "pg_wal")


def test_a_promotion_sees_every_number_that_was_used(data: Path) -> None:
    """Else PostgreSQL would begin a second timeline 3."""
    state = control("0/5000028", 2)
    put_back_histories(str(data), state)
    before = names(data / "pg_wal")
    set_aside_outvoted_histories(str(data), state)
    put_back_histories(str(data), state)
    assert names(data / "pg_wal") == before
    assert (data / "pg_wal" / "00000003.history").read_text(encoding="ascii") == THIRD


def test_who_was_left_behind_knows_it_after_any_number_of_starts(data: Path) -> None:
    state = control("0/5000028", 2)
    for _start in range(3):
        assert find_outvoter(str(data), state, 2, "0/5000100") == {"timeline": 3, "since": "0/5000000"}
        set_aside_outvoted_histories(str(data), state)
    assert find_outvoter(str(data), control("0/5000028", 2), 2, None) is None


def test_who_follows_the_newer_timeline_is_not_left_behind(data: Path) -> None:
    """After a rewind or a copy the WAL is the other node's, whatever its control file still names."""
    set_aside_outvoted_histories(str(data), control("0/5000028", 2))
    (data / "pg_wal" / "00000003.history").write_text(THIRD, encoding="ascii")
    (data / "pg_wal" / "000000030000000000000005").touch()
    assert find_outvoter(str(data), control("0/4000000", 2), 2, "0/5000100") is None


def test_another_system_s_histories_say_nothing(data: Path) -> None:
    set_aside_outvoted_histories(str(data), control("0/5000028", 2))
    assert find_outvoter(str(data), replace(control("0/5000028", 2), system_identifier="8"), 2, "0/5000100") is None


SECOND = parse_history("1\t0/3000000\treason\n", 2)


@pytest.mark.parametrize(
    ("own", "reached", "heard", "found"),
    [
        (SECOND, 0x5000000, [THIRD], None),
        (SECOND, 0x5000001, [THIRD], 3),
        (SECOND, 0x5000001, ["1\t0/3000000\treason\n"], None),
        (parse_history("", 1), 0x3000001, ["1\t0/3000000\treason\n", THIRD], 3),
        (parse_history(THIRD, 3), 0x9000000, ["1\t0/3000000\treason\n", THIRD], None),
        (SECOND, 0x5000001, [], None),
    ],
)
def test_the_newest_that_leaves_out_what_was_replayed(
    own: list[Stretch], reached: int, heard: list[str], found: int | None
) -> None:
    others = [parse_history(text, len(text.splitlines()) + 1) for text in heard]
    left_by = outvoter(own, reached, others)
    assert (left_by.timeline if left_by else None) == found
