# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operation begins, and ends with an event that says how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _operation
from ansible_collections.duet.backup_ha.plugins.modules import operation

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What the module tells; its record is in a directory of the test's own."""
    found: list[Any] = []
    path = tmp_path / "operation.json"
    for name in ("read_operation", "begin", "end"):
        function = getattr(_operation, name)
        monkeypatch.setattr(function, "__defaults__", (*function.__defaults__[:-1], path))
    monkeypatch.setattr(operation, "this_node", lambda: None)
    monkeypatch.setattr(operation, "tell_start", lambda _node, begun, keep: found.append(("start", begun["id"], keep)))
    monkeypatch.setattr(operation, "tell_end", lambda _node, *words, keep: found.append((*words, keep)))
    return found


def run(module: Run, **arguments: Any) -> dict[str, Any]:
    return module(operation.main, kind="switchover", **arguments)


def test_its_end_is_told_once(run_module: Run, told: list[Any]) -> None:
    run(run_module, state="begun", id="one", announced=True)
    assert run(run_module, state="ended", id="one", outcome="done", announced=True)["changed"]
    assert not run(run_module, state="ended", id="one", outcome="done", announced=True)["changed"]
    assert told == [("start", "one", True), ("one", "switchover", "done", [], True)]


def test_what_another_one_began_is_neither_ended_nor_told(run_module: Run, told: list[Any]) -> None:
    run(run_module, state="begun", id="one")
    assert not run(run_module, state="ended", id="other", outcome="in_progress")["changed"]
    assert told == [("start", "one", False)]
    assert (_operation.read_operation() or {})["id"] == "one"


def test_what_is_in_doubt_stays_and_is_told(run_module: Run, told: list[Any]) -> None:
    run(run_module, state="begun", id="one")
    assert not run(run_module, state="ended", id="one", outcome="in_doubt", reasons=["Why."], kept=True)["changed"]
    assert told[1:] == [("one", "switchover", "in_doubt", ["Why."], False)]
    assert (_operation.read_operation() or {})["id"] == "one"


def test_a_rehearsal_ends_and_tells_nothing(run_module: Run, told: list[Any]) -> None:
    run(run_module, state="begun", id="one")
    assert run(run_module, _check=True, state="ended", id="one", outcome="done")["changed"]
    assert len(told) == 1 and _operation.read_operation()
