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


@pytest.mark.parametrize(
    ("silent_s", "down", "abstains"), [([], False, False), ([0.5], True, True), ([9], False, True)]
)
def test_what_the_other_node_says_of_itself(
    monkeypatch: pytest.MonkeyPatch, silent_s: list[float], down: bool, abstains: bool
) -> None:
    """An agent that is stuck holds its lock and repeats nothing."""
    asked: list[tuple[Any, ...]] = []

    def rows(_connection: object, *question: Any) -> list[dict[str, float]]:
        asked.append(question[1:])
        return [{"silent_s": seconds} for seconds in silent_s]

    monkeypatch.setattr(_grant, "rows", rows)
    assert _grant.peer_says_down(None) is down  # type: ignore[arg-type]
    assert _grant.peer_abstains(None) is abstains  # type: ignore[arg-type]
    assert asked == [(_grant.CLASS, key, "backup_ha") for key in (_grant.DOWN, _grant.ABSTAINS)]


def test_the_word_that_a_server_is_down_ends_with_its_session(asked: list[tuple[Any, ...]]) -> None:
    _grant.end_down_word(None)  # type: ignore[arg-type]
    ((query, space, key),) = asked
    assert "pg_terminate_backend" in query and (space, key) == (_grant.CLASS, _grant.DOWN)


def test_no_two_locks_are_the_same() -> None:
    assert len({_grant.GRANT, _grant.ARMED, _grant.TAKEN, _grant.ABSTAINS, _grant.DOWN}) == 5
    assert 0 < _grant.CLASS < 2**31, "PostgreSQL's key is a signed integer"
