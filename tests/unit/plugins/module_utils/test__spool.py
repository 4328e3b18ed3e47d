# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits on the disk: in order, whole or not at all, and gone only when every way is done."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _spool
from ansible_collections.duet.backup_ha.plugins.module_utils._spool import STORED, TOLD

BOTH = frozenset((STORED, TOLD))


def event(at: float, identity: str = "5f0c") -> dict[str, Any]:
    return {"id": identity, "at": at, "kind": "wal_half"}


def test_nothing_waits_where_there_is_no_folder() -> None:
    assert _spool.waiting() == []
    assert _spool.is_empty()
    _spool.clear_leftovers()


def test_they_wait_in_their_order() -> None:
    for at in (20.5, 3.25, 1795364819.000002, 1795364819.000001):  # two may be close to each other
        _spool.put(event(at))
    found = [(_spool.read(path) or {})["at"] for path in _spool.waiting()]
    assert found == [3.25, 20.5, 1795364819.000001, 1795364819.000002]
    assert not _spool.is_empty()


@pytest.mark.parametrize("order", [(STORED, TOLD), (TOLD, STORED)])
def test_it_goes_when_both_ways_are_done(order: tuple[str, str]) -> None:
    _spool.put(event(1.0))
    first, second = order
    _spool.mark(_spool.waiting()[0], first, BOTH)
    assert _spool.waiting(first) == []
    (path,) = _spool.waiting(second)
    assert _spool.read(path) == event(1.0)
    _spool.mark(path, first, BOTH)  # again: nothing new
    _spool.mark(_spool.waiting(second)[0], second, BOTH)
    assert _spool.is_empty()


def test_without_a_hook_the_database_is_all() -> None:
    _spool.put(event(1.0))
    _spool.mark(_spool.waiting()[0], STORED, frozenset((STORED,)))
    assert _spool.is_empty()


def test_one_that_the_hook_had_before_it_was_taken_away_goes_too() -> None:
    _spool.put(event(1.0))
    _spool.mark(_spool.waiting()[0], TOLD, BOTH)
    _spool.mark(_spool.waiting()[0], STORED, frozenset((STORED,)))
    assert _spool.is_empty()


def test_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spool, "MOST", 2)
    _spool.put(event(1.0))
    _spool.put(event(2.0))
    with pytest.raises(_spool.FullError, match="2 events wait"):
        _spool.put(event(3.0))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7"])
def test_what_is_no_event_is_read_as_none_and_goes(spool: Path, text: str) -> None:
    spool.mkdir()
    path = spool / "000000000001000-5f0c.json"
    path.write_text(text, "utf-8")
    assert _spool.read(path) is None
    _spool.clear_leftovers()
    assert path.exists(), "it may be about to be written"
    old = time.time() - 2 * _spool.STALE_S
    os.utime(path, (old, old))
    _spool.clear_leftovers()
    assert _spool.is_empty()


def test_what_a_power_cut_has_left_is_no_event_and_goes(spool: Path) -> None:
    _spool.put(event(1.0))
    left = spool / ".000000000001000-5f0c.json.4711.new"
    left.write_text("{", "utf-8")
    assert [path.name[0] for path in _spool.waiting()] == ["0"]
    os.utime(left, (0, 0))
    _spool.clear_leftovers()
    assert not left.exists() and len(_spool.waiting()) == 1
