# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving node's half: it waits, takes the address the moment it is the writer, and never promotes itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import (
    _endpoint,
    _handover,
    _progress,
    _promotion,
    _take,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    BackupHaError,
    InDoubtError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._grant import ARMED, GRANT, TAKEN
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG as GIVER
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import Session

CONFIG = replace(GIVER, node=GIVER.peer, peer=GIVER.node)
Story = Callable[[float], tuple[bool, bool]]


class Taker:
    """The receiving node; ``story`` says for each moment whether the grant is held and whether it is in recovery."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, story: Story, armed: bool = True) -> None:
        self.events: list[str] = []
        self.story = story
        self.now = 0.0
        self.armed = armed
        self.giver_serves = True
        self.operation: dict[str, Any] | None = None
        self.history: list[dict[str, Any]] = []
        self.history_fails = False
        monkeypatch.setattr(_take, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))
        monkeypatch.setattr(_endpoint, "PreparedEndpoint", lambda _endpoint: self)
        monkeypatch.setattr(_take, "connect_local", lambda _server: Session("node2"))
        monkeypatch.setattr(_take, "connect_peer", self.connect_peer)
        monkeypatch.setattr(_take, "in_recovery", self.in_recovery)
        monkeypatch.setattr(_take, "forget_having_been_primary", lambda: self.events.append("forget"))
        monkeypatch.setattr(_take, "systemctl", lambda *words: self.events.append(" ".join(words)))
        monkeypatch.setattr(_take, "locks_held", lambda _session: {GRANT} if self.story(self.now)[0] else set())
        monkeypatch.setattr(_take, "try_lock", self.try_lock)
        monkeypatch.setattr(_take, "serve", lambda *_arguments: self.events.append("serve"))
        monkeypatch.setattr(_promotion, "request_promotion", self.never)
        monkeypatch.setattr(_progress, "advance", lambda _step: None)
        monkeypatch.setattr(_take, "read_operation", lambda: self.operation)
        monkeypatch.setattr(_take, "timeline_of", lambda _session: 8)
        monkeypatch.setattr(_take, "record_history", self.record)
        monkeypatch.setattr(_take, "remember_being_primary", lambda _config: self.events.append("remember"))

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def connect_peer(self, _config: object) -> Session:
        if not self.giver_serves:
            raise UnreachableError("PostgreSQL on node1 does not answer")
        return Session("node1")

    def in_recovery(self, session: Session) -> bool:
        return session.server == "node2" and self.story(self.now)[1]

    def record(self, _server: object, entry: dict[str, Any], once: bool) -> None:
        assert once and "serve" in self.events
        if self.history_fails:
            raise UnreachableError("PostgreSQL on node2 does not answer")
        self.history.append(entry)

    def never(self, *_arguments: object) -> None:
        raise AssertionError("the receiving node promoted itself")

    def try_lock(self, _session: Session, key: int) -> bool:
        self.events.append({ARMED: "armed", TAKEN: "taken"}[key])
        return self.armed

    def take(self) -> None:
        assert not self.story(self.now)[1], "took the address while it was a standby"
        self.events.append("endpoint")

    def announce(self) -> None:
        assert "endpoint" in self.events
        self.events.append("announce")

    def close(self) -> None:
        self.events.append("close")


def handed_over(now: float) -> tuple[bool, bool]:
    """The other node holds the grant from 1 s on and promotes this one at 2 s."""
    return now >= 1, now < 2


def test_the_order_of_taking(monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker(monkeypatch, handed_over)
    progress = _take.take(CONFIG)
    events = [event for event in taker.events if event != "announce"]
    assert events == ["armed", "remember", "endpoint", "taken", "serve", "close"]
    assert [step["step"] for step in progress.steps] == ["promoted", "endpoint", "target"]


def test_a_node_that_was_promoted_before_only_takes_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker(monkeypatch, lambda _now: (False, False))
    _take.take(CONFIG)
    events = [event for event in taker.events if event != "announce"]
    assert events == ["endpoint", "taken", "serve", "close"]


OPERATION = {"id": "duet-switchover-1", "kind": "switchover", "started": 1.5, "by": "root@control"}


def test_the_exchange_is_a_line_of_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker(monkeypatch, handed_over)
    taker.operation = OPERATION
    _take.take(CONFIG)
    (line,) = taker.history
    assert (line["operation"], line["from_node"], line["to_node"]) == ("duet-switchover-1", "node1", "node2")
    assert (line["timeline"], line["started"], line["outcome"], line["who"]) == (8, 1.5, "done", "root@control")


def test_outside_an_operation_there_is_nothing_to_record(monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker(monkeypatch, handed_over)
    _take.take(CONFIG)
    assert taker.history == []


def test_a_history_that_takes_no_line_leaves_the_exchange_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run finishes it."""
    taker = Taker(monkeypatch, handed_over)
    taker.operation, taker.history_fails = OPERATION, True
    with pytest.raises(InDoubtError, match="node2 accepts writes and has the endpoint, but the history"):
        _take.take(CONFIG)
    assert "serve" in taker.events


def refused_taking(taker: Taker, error: type[BackupHaError]) -> BackupHaError:
    with pytest.raises(error) as raised:
        _take.take(CONFIG)
    assert taker.events[-1] == "close"
    assert not {"endpoint", "serve"} & set(taker.events)
    return raised.value


def test_two_handovers_do_not_wait_on_one_node(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused_taking(Taker(monkeypatch, lambda _now: (False, True), armed=False), RefusedError)
    assert error.details["reasons"] == ["Another handover already waits on this node."]


def test_whom_another_handover_promotes_takes_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task of a control node that is gone waits on this node, and its promotion comes."""
    taker = Taker(monkeypatch, lambda now: (now < 3, now < 3), armed=False)
    _take.take(CONFIG)
    assert [event for event in taker.events if event not in ("announce", "armed")][:2] == ["endpoint", "taken"]


def test_a_handover_that_never_begins_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker(monkeypatch, lambda _now: (False, True))
    error = refused_taking(taker, RefusedError)
    assert error.details["reasons"] == ["node1 never began to hand over."]
    assert taker.now == pytest.approx(_handover.ARM_TIMEOUT_S, abs=0.1)


def test_a_handover_that_was_taken_back_ends_the_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker(monkeypatch, lambda now: (1 <= now < 3, True))
    assert "node1 did not hand over after all" in str(refused_taking(taker, BackupHaError))
    assert taker.now == pytest.approx(3, abs=0.1)
    assert "forget" in taker.events


def test_whose_giver_died_in_between_asks_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker(monkeypatch, lambda now: (1 <= now < 3, True))
    taker.giver_serves = False
    refused_taking(taker, BackupHaError)
    assert "forget" not in taker.events
    assert taker.events[-2] == "start --no-block backup-ha-resume.service"


@pytest.mark.parametrize("giver_serves", [True, False])
def test_whose_own_server_stands_still_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, giver_serves: bool
) -> None:
    """Its session was broken off. Whoever of the two is to go on is asked for as after a death."""

    def break_off(now: float) -> tuple[bool, bool]:
        if now >= 3:
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return now >= 1, True

    taker = Taker(monkeypatch, break_off)
    taker.giver_serves = giver_serves
    assert str(refused_taking(taker, BackupHaError)) == "PostgreSQL on node2 does not answer any more."
    assert taker.events[-2] == ("forget" if giver_serves else "start --no-block backup-ha-resume.service")


def test_a_promotion_at_the_moment_when_the_grant_ends_is_a_promotion(monkeypatch: pytest.MonkeyPatch) -> None:
    """The giving node's session ends right after its request was heard."""
    taker = Taker(monkeypatch, lambda now: (1 <= now < 2, now < 2))
    _take.take(CONFIG)
    assert "serve" in taker.events


def test_as_long_as_the_grant_is_held_the_wait_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint may take long; the giving node's session, and its grant with it, ends when that node does."""
    taker = Taker(monkeypatch, lambda now: (now < 5000, now < 5000))
    _take.take(CONFIG)
    assert "serve" in taker.events
