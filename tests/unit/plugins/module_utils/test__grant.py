# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locks' names, which both nodes and every version must agree on."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _grant


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The questions and their parameters; every lock is free, and one is held."""
    questions: list[tuple[Any, ...]] = []

    def one(_connection: object, *question: Any) -> bool:
        questions.append(question)
        return True

    def rows(_connection: object, *question: Any) -> list[dict[str, int]]:
        questions.append(question)
        return [{"key": _grant.GRANT}, {"key": _grant.GRANT}]

    monkeypatch.setattr(_grant, "one", one)
    monkeypatch.setattr(_grant, "rows", rows)
    return questions


def test_locks_are_tried_and_never_waited_for(asked: list[tuple[Any, ...]]) -> None:
    assert _grant.try_lock(None, _grant.GRANT) is True  # type: ignore[arg-type]
    ((query, space, key),) = asked
    assert "pg_try_advisory_lock(" in query
    assert (space, key) == (int.from_bytes(b"DUET", "big"), 1)


def test_held_locks_are_those_of_this_collection(asked: list[tuple[Any, ...]]) -> None:
    assert _grant.locks_held(None) == {_grant.GRANT}  # type: ignore[arg-type]
    ((query, space),) = asked
    assert space == _grant.CLASS
    assert "granted" in query and "locktype = 'advisory'" in query and "classid = %s" in query


def test_no_two_locks_are_the_same() -> None:
    assert len({_grant.GRANT, _grant.ARMED, _grant.TAKEN}) == 3
    assert 0 < _grant.CLASS < 2**31, "PostgreSQL's key is a signed integer"
