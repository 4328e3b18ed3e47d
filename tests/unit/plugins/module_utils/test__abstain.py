# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node says that it has no usable copy for as long as that is true, and no longer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _abstain
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import DeadlineError, UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._grant import ABSTAINS
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import SYSTEM


@pytest.mark.parametrize(
    ("marked", "control", "identifier", "usable"),
    [
        (False, True, SYSTEM, True),
        (False, True, "another", False),
        (False, False, SYSTEM, False),
        (True, True, SYSTEM, False),
    ],
)
def test_what_a_usable_copy_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, marked: bool, control: bool, identifier: str, usable: bool
) -> None:
    monkeypatch.setattr(_abstain, "is_unusable", lambda: marked)
    monkeypatch.setattr(_abstain, "control_data", lambda _server: SimpleNamespace(system_identifier=identifier))
    (tmp_path / "global").mkdir()
    if control:
        (tmp_path / "global/pg_control").touch()
    config = SimpleNamespace(postgresql=SimpleNamespace(data_directory=str(tmp_path)))
    assert _abstain.has_usable_copy(config, SYSTEM) is usable  # type: ignore[arg-type]


def test_it_asks_until_it_is_heard_and_holds_the_lock_until_the_copy_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [UnreachableError("off"), None, psycopg.OperationalError("rebooted"), None]
    copies = iter([False, False, True])
    held: list[int] = []

    def connect(_config: object) -> Session:
        answer = answers.pop(0)
        if isinstance(answer, UnreachableError):
            raise answer
        return Session("node2")

    def lock(_session: Session, key: int) -> bool:
        held.append(key)
        if isinstance(answers[0] if answers else None, psycopg.OperationalError):
            raise answers.pop(0) or AssertionError
        return True

    monkeypatch.setattr(_abstain, "connect_peer", connect)
    monkeypatch.setattr(_abstain, "one", lambda *_arguments: SYSTEM)
    monkeypatch.setattr(_abstain, "has_usable_copy", lambda *_arguments: next(copies))
    monkeypatch.setattr(_abstain, "try_lock", lock)
    monkeypatch.setattr(_abstain, "was_primary", lambda: False)
    monkeypatch.setattr(_abstain, "PAUSE_S", 0.0)
    _abstain.abstain(CONFIG)
    assert held == [ABSTAINS, ABSTAINS] and answers == []


def test_a_node_that_was_primary_never_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may serve other data than the node at the old address of its peer has."""
    monkeypatch.setattr(_abstain, "connect_peer", lambda _config: Session("node2"))
    monkeypatch.setattr(_abstain, "one", lambda *_arguments: "another")
    monkeypatch.setattr(_abstain, "has_usable_copy", lambda *_arguments: False)
    monkeypatch.setattr(_abstain, "was_primary", lambda: True)
    monkeypatch.setattr(_abstain, "try_lock", lambda *_arguments: pytest.fail("it took the lock"))
    _abstain.abstain(CONFIG)


def test_that_the_unit_does_not_start_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: str) -> None:
        raise DeadlineError("systemctl hangs")

    monkeypatch.setattr(_abstain, "systemctl", fails)
    _abstain.begin_to_abstain()
