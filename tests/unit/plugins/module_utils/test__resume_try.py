# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt to go on as primary, and how long a node keeps asking."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _resume
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._grant import GRANT
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import SYSTEM

SILENT = UnreachableError("PostgreSQL on node2 does not answer")
BROKEN = psycopg.OperationalError("terminating connection due to administrator command")


class Node:
    """A node that asks the other one; every attribute is one thing that a test changes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.recovering = {"node1": True, "node2": True}
        self.unreachable: Exception | None = None
        self.breaks: Exception | None = None
        self.local_lock, self.was_primary = True, True
        self.newest_own = 1  # the timeline that it was primary on
        self.peer_abstains, self.peer_system = False, SYSTEM
        self.local = Session("node1")
        monkeypatch.setattr(_resume, "connect_peer", self.connect_peer)
        monkeypatch.setattr(_resume, "in_recovery", lambda session: self.recovering[session.server])
        monkeypatch.setattr(_resume, "observe_replication", self.observe)
        monkeypatch.setattr(_resume, "try_lock", self.try_lock)
        monkeypatch.setattr(_resume, "peer_abstains", lambda _session: self.peer_abstains)
        monkeypatch.setattr(_resume, "unlock", lambda _session, _key: self.events.append("unlock"))
        monkeypatch.setattr(_resume, "was_primary", self.asked_to_be)
        monkeypatch.setattr(_resume, "promote_here", lambda *_arguments: self.events.append("promote"))
        monkeypatch.setattr(_resume, "end_down_word", lambda session: self.events.append(f"end word {session.server}"))
        monkeypatch.setattr(_resume, "serve", lambda *_arguments: self.events.append("serve"))

    def asked_to_be(self, timeline: int = 0) -> bool:
        return self.was_primary and timeline <= self.newest_own

    def connect_peer(self, _config: object) -> Session:
        if self.unreachable:
            raise self.unreachable
        return Session("node2")

    def try_lock(self, session: Session, key: int) -> bool:
        assert key == GRANT
        self.events.append(f"lock {session.server}")
        return self.local_lock or session.server != "node1"

    def observe(self, session: Session) -> dict[str, Any]:
        if self.breaks and session.server == "node2":
            raise self.breaks
        return {
            "in_recovery": self.recovering[session.server],
            "timeline": 1,
            "lsn": None,
            "replay_lsn": "0/3000000",
            "system_identifier": SYSTEM if session.server == "node1" else self.peer_system,
        }

    def attempt(self, alone: bool = False) -> str:
        return _resume._try(CONFIG, self.local, alone)[0]  # type: ignore[arg-type]


def test_a_node_in_step_takes_both_locks_and_is_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(monkeypatch)
    assert node.attempt() == "promote"
    assert node.events == ["lock node1", "lock node2", "end word node2", "promote", "unlock"]


def test_a_writer_serves_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(monkeypatch)
    node.recovering["node1"], node.unreachable = False, SILENT
    assert node.attempt() == "promote"
    assert node.events == ["serve"]


def test_a_new_primary_is_followed_without_any_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds them while it promotes, and must not be waited for."""
    node = Node(monkeypatch)
    node.recovering["node2"] = False
    assert node.attempt() == "follow"
    assert node.events == []


@pytest.mark.parametrize(("alone", "decision"), [(False, "wait"), (True, "promote")])
def test_silence_is_waited_for_unless_somebody_gave_his_word(
    monkeypatch: pytest.MonkeyPatch, alone: bool, decision: str
) -> None:
    node = Node(monkeypatch)
    node.unreachable = SILENT
    assert node.attempt(alone) == decision
    assert ("promote" in node.events) is alone


@pytest.mark.parametrize("silent", [True, False])
def test_a_node_that_has_followed_another_primary_since_is_a_secondary(
    monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    node = Node(monkeypatch)
    node.newest_own, node.unreachable = 0, SILENT if silent else None
    assert node.attempt() == "follow"
    assert "promote" not in node.events
    assert node.attempt(alone=True) == "promote"


@pytest.mark.parametrize(("was_primary", "decision"), [(True, "promote"), (False, "wait")])
@pytest.mark.parametrize("answers", [False, True])
def test_a_node_whose_peer_has_no_copy_goes_on_when_it_was_primary(
    monkeypatch: pytest.MonkeyPatch, answers: bool, was_primary: bool, decision: str
) -> None:
    node = Node(monkeypatch)
    node.peer_abstains, node.was_primary, node.peer_system = True, was_primary, "another"
    node.unreachable = None if answers else SILENT
    assert node.attempt() == decision


def test_a_peer_in_step_is_compared_whatever_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its word and its copy cross for a moment when the copy is ready."""
    node = Node(monkeypatch)
    node.peer_abstains, node.recovering["node2"] = True, False
    assert node.attempt() == "follow"


def test_alone_or_not_the_own_lock_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other node may reach this one although it cannot be reached."""
    node = Node(monkeypatch)
    node.unreachable, node.local_lock = SILENT, False
    assert node.attempt(alone=True) == "wait"
    assert "promote" not in node.events


def test_a_lock_that_is_not_given_back_is_not_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(monkeypatch)
    node.local_lock = False
    assert node.attempt() == "wait"
    assert node.events == ["lock node1"]


def test_a_session_that_breaks_is_no_reason_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(monkeypatch)
    node.breaks = BROKEN
    decision, why = _resume._try(CONFIG, node.local, alone=True)  # type: ignore[arg-type]
    assert (decision, "promote" in node.events) == ("wait", False)
    assert "A session to PostgreSQL broke" in why


def test_the_own_session_that_breaks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(monkeypatch)
    node.breaks, node.local.closed = BROKEN, True
    with pytest.raises(psycopg.OperationalError):
        node.attempt()


class Patience:
    """The loop around the attempts, with a clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *decisions: str) -> None:
        self.now = 0.0
        self.decisions = list(decisions)
        self.forgotten = 0
        self.dropped: list[str] = []
        monkeypatch.setattr(_resume, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))
        monkeypatch.setattr(_resume, "wait_for_session", lambda *_arguments, **_options: Session("node1"))
        monkeypatch.setattr(_resume, "_try", self.attempt)
        monkeypatch.setattr(_resume, "forget_having_been_primary", self.forget)
        monkeypatch.setattr(_resume, "drop_slot", lambda _session, name: self.dropped.append(name))

    def sleep(self, seconds: float) -> None:
        assert 0.1 < seconds < 1
        self.now += seconds

    def attempt(self, *_arguments: object) -> tuple[str, str]:
        decision = self.decisions.pop(0) if len(self.decisions) > 1 else self.decisions[0]
        return decision, f"because {decision}"

    def forget(self) -> None:
        self.forgotten += 1


def test_a_node_asks_until_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Patience(monkeypatch, "wait", "wait", "promote")
    assert _resume.resume(CONFIG, patience=10) == "promoted"
    assert loop.dropped == []
    assert loop.forgotten == 0
    assert loop.now > 0


def test_a_node_that_follows_forgets_that_it_was_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Patience(monkeypatch, "wait", "follow")
    assert _resume.resume(CONFIG, patience=10) == "follows"
    assert loop.forgotten == 1
    assert loop.dropped == ["backup_ha_node2"], "a slot for the other node would keep WAL on a standby for ever"


def test_patience_has_an_end_and_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Patience(monkeypatch, "wait")
    assert _resume.resume(CONFIG, patience=10) == "because wait"
    assert 10 < loop.now < 11
    assert loop.forgotten == 0, "whoever only waits must be able to ask again after the next start"
