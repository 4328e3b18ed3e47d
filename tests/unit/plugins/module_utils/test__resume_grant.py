# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes that ask each other at the same time, in every order of their steps: one writer, whatever happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _resume
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import DeadlineError
from ansible_collections.duet.backup_ha.plugins.module_utils._grant import GRANT
from ansible_collections.duet.backup_ha.tests.unit.plugins.interleavings import Schedule, all_schedules
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import SYSTEM


@dataclass
class Server:
    """A PostgreSQL server as the other node can see it, and who holds its lock."""

    name: str
    timeline: int
    lsn: str
    in_recovery: bool = True
    lock: str | None = None


@dataclass
class Session:
    """A node's session to a server; what it holds there ends with it."""

    node: str
    server: Server


@dataclass
class Cluster:
    """Both servers, and the real _ask() on top of them with a step before each look and each change."""

    one: Server
    other: Server
    schedule: Schedule
    decisions: dict[str, str] = field(default_factory=dict)

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("in_recovery", "try_lock", "unlock", "promote_here", "_position"):
            monkeypatch.setattr(_resume, name, getattr(self, name.lstrip("_")))
        monkeypatch.setattr(_resume, "end_down_word", lambda _session: None)
        monkeypatch.setattr(_resume, "was_primary", lambda *_timeline: True)
        monkeypatch.setattr(_resume, "peer_abstains", lambda _session: False)

    def in_recovery(self, session: Session) -> bool:
        self.schedule.step()
        return session.server.in_recovery

    def try_lock(self, session: Session, key: int) -> bool:
        self.schedule.step()
        assert key == GRANT
        if session.server.lock not in (None, session.node):
            return False
        session.server.lock = session.node
        return True

    def unlock(self, session: Session, key: int) -> None:
        self.schedule.step()
        assert key == GRANT
        if session.server.lock == session.node:
            session.server.lock = None

    def position(self, session: Session) -> dict[str, Any]:
        server = session.server
        if server.name != session.node:  # nobody else changes a node's own position
            self.schedule.step()
        return {
            "in_recovery": server.in_recovery,
            "timeline": server.timeline,
            "lsn": server.lsn,
            "replay_lsn": server.lsn,
            "system_identifier": SYSTEM,
        }

    def promote_here(self, _config: object, session: Session) -> None:
        self.schedule.step()
        held_by = {self.one.lock, self.other.lock}
        assert held_by == {session.node}, "promoted without the lock of both nodes"
        session.server.in_recovery = False
        session.server.timeline += 1

    def ask(self, own: Server, peer: Server) -> None:
        """One attempt of a node, as _try() makes it."""
        try:
            decision, _why = _resume._ask(None, Session(own.name, own), Session(own.name, peer), False)  # type: ignore[arg-type]
            self.decisions[own.name] = decision
        finally:
            self.schedule.step()
            if peer.lock == own.name:
                peer.lock = None  # the session to the other node ends


Position = tuple[int, str]
EQUAL: Position = (1, "0/3000000")
FURTHER: Position = (1, "0/3000060")
LATER: Position = (2, "0/3000000")


@cache
def explore(one: Position, other: Position) -> list[Cluster]:
    """Every order of the steps of both nodes from these positions; the clusters as they are afterwards."""
    ended: list[Cluster] = []

    def run(schedule: Schedule) -> None:
        cluster = Cluster(Server("node1", *one), Server("node2", *other), schedule)
        with pytest.MonkeyPatch.context() as monkeypatch:
            cluster.patch(monkeypatch)
            schedule.run(
                [lambda: cluster.ask(cluster.one, cluster.other), lambda: cluster.ask(cluster.other, cluster.one)]
            )
        ended.append(cluster)

    for _choices in all_schedules(run):
        pass
    return ended


@pytest.mark.parametrize("other", [EQUAL, FURTHER, LATER])
def test_never_two_writers(other: Position) -> None:
    ended = explore(EQUAL, other)
    assert len(ended) > 500
    assert not [c for c in ended if not c.one.in_recovery and not c.other.in_recovery]


@pytest.mark.parametrize("other", [FURTHER, LATER])
def test_the_one_behind_never_becomes_the_writer(other: Position) -> None:
    assert all(cluster.one.in_recovery for cluster in explore(EQUAL, other))


def test_no_lock_outlives_an_attempt() -> None:
    assert {(cluster.one.lock, cluster.other.lock) for cluster in explore(EQUAL, EQUAL)} == {(None, None)}


def test_of_equal_nodes_one_is_promoted_or_both_try_again() -> None:
    outcomes = {tuple(sorted(c.decisions.values())) for c in explore(EQUAL, EQUAL)}
    assert outcomes == {("promote", "wait"), ("follow", "promote"), ("wait", "wait")}


def test_a_failed_promotion_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may take the role for granted whose promotion did not end."""
    one, other = Server("node1", 1, "0/3000000"), Server("node2", 1, "0/3000000")

    def fail(*_arguments: object, **_options: object) -> None:
        raise DeadlineError("The promotion did not end.")

    cluster = Cluster(one, other, Schedule([]))
    monkeypatch.setattr(cluster.schedule, "step", lambda: None)
    cluster.patch(monkeypatch)
    monkeypatch.setattr(_resume, "promote_here", fail)
    with pytest.raises(DeadlineError):
        cluster.ask(one, other)
    assert one.lock is None
