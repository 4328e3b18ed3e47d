# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A takeover without servers, broken at every step: what happens in which order, and what is left behind."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _takeover
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    BackupHaError,
    InDoubtError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._fence import Fence
from ansible_collections.duet.backup_ha.plugins.module_utils._grant import GRANT
from ansible_collections.duet.backup_ha.plugins.module_utils._takeover import Order, look, take_over
from ansible_collections.duet.backup_ha.tests.unit.plugins import evidences
from ansible_collections.duet.backup_ha.tests.unit.plugins.evidences import Evidence, changed
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session

BROKEN = psycopg.OperationalError("server closed the connection unexpectedly")
ANYTHING = Order()
PROMOTION = ["remember", "request", "writer", "endpoint", "announce", "serve", "history"]


class Scene:
    """The node that takes over is node2 of the evidence; every attribute is one thing that a test changes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *gathered: Evidence, **fails: Exception) -> None:
        self.events: list[str] = []
        self.gathered = list(gathered)
        self.fails = fails
        self.now = 0.0
        self.recovering = {"local": True, "peer": True}
        self.locks = {"local": True, "peer": True}
        self.held: list[str] = []
        self.remembers = False
        self.fence: Fence | None = None
        self.fence_problem = ""
        self.breaks_session = True
        self.history: dict[str, Any] = {}
        self.waiting = ""
        self.local = Session("local")
        replaced: dict[str, Any] = {
            "connect_local": lambda _server: self.local,
            "connect_peer": self.connect_peer,
            "in_recovery": lambda session: self.recovering[session.server],
            "try_lock": self.try_lock,
            "unlock": lambda session, _key: self.held.remove(session.server),
            "gather": self.gather,
            "find_fence": lambda: (self.fence, self.fence_problem),
            "switch_off": lambda _fence, _config: self.did("fence"),
            "await_everything_replayed": lambda _connection, _config: self.did("replayed"),
            "was_primary": lambda: self.remembers,
            "remember_being_primary": lambda _config: self.did("remember"),
            "forget_having_been_primary": lambda: self.did("forget"),
            "request_promotion": lambda _connection: self.did("request"),
            "wait_until_writer": lambda _connection: self.did("writer"),
            "describe_waiting": lambda _config, _connection: self.waiting,
            "serve": lambda _config, _connection: self.did("serve"),
            "record_history": self.record,
            "PreparedEndpoint": lambda _endpoint: SimpleNamespace(
                take=lambda: self.did("endpoint"), announce=lambda: self.did("announce"), close=lambda: None
            ),
            "timeline_of": lambda _connection: 10,
            "time": SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep, time=lambda: 1000.0),
        }
        for name, function in replaced.items():
            monkeypatch.setattr(_takeover, name, function)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def did(self, event: str) -> None:
        assert "local" in self.held or event == "serve", f"{event} without the lock"
        self.events.append(event)
        if event in self.fails:
            self.local.closed = self.breaks_session
            raise self.fails[event]

    def gather(self, _config: object, _connection: object, control: dict[str, Any] | None) -> Evidence:
        evidence = self.gathered.pop(0) if len(self.gathered) > 1 else self.gathered[0]
        return {**evidence, "control": control or evidence["control"]}

    def try_lock(self, session: Session, key: int) -> bool:
        assert key == GRANT
        if self.locks[session.server]:
            self.held.append(session.server)
        return self.locks[session.server]

    def connect_peer(self, _config: object) -> Session:
        if "connect_peer" in self.fails:
            raise self.fails["connect_peer"]
        return Session("peer")

    def record(self, _server: object, entry: dict[str, Any]) -> None:
        self.did("history")
        self.history = entry

    def refused(self, order: Order = ANYTHING) -> str:
        with pytest.raises(RefusedError) as raised:
            take_over(CONFIG, order)
        assert "request" not in self.events and "remember" not in self.events
        assert "local" not in self.held, "the lock was not given back"
        return " ".join(raised.value.reasons)


def test_commits_that_wait_afterwards_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.down())
    scene.waiting = "Commits wait until node1 is back."
    assert take_over(CONFIG, ANYTHING).said("node2")[-1] == scene.waiting
    scene.recovering["local"] = False
    assert take_over(CONFIG, ANYTHING).said("node2") == ["node2 was the primary already.", scene.waiting]


def test_a_primary_that_is_proven_down_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.down())
    takeover = take_over(CONFIG, Order(who="root", operation="op"))
    assert scene.events == ["replayed", *PROMOTION]
    assert [step["step"] for step in takeover.steps] == ["evidence", "replayed", "promoted", "endpoint", "serving"]
    assert takeover.changed and takeover.as_dict()["finding"]["name"] == "proven_down"
    assert scene.history.pop("started") == takeover.began
    assert scene.history == {
        "operation": "op",
        "kind": "failover",
        "from_node": CONFIG.peer,
        "to_node": CONFIG.node,
        "timeline": 10,
        "outcome": "done",
        "who": "root",
        "why": "proven down: The agent of node1 says that no PostgreSQL runs there.",
    }
    assert scene.held == []


def test_silence_needs_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.silent())
    assert "--primary-is-off" in scene.refused()
    assert scene.events == []
    take_over(CONFIG, Order(primary_is_off=True))
    assert "The operator's word" in scene.history["why"]


def test_a_word_makes_a_fence_superfluous(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.silent())
    scene.fence = Fence("fence_a")
    take_over(CONFIG, Order(primary_is_off=True))
    assert "fence" not in scene.events


def test_silence_is_fenced_and_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.silent())
    scene.fence = Fence("fence_a")
    takeover = take_over(CONFIG, Order())
    assert scene.events == ["fence", "replayed", *PROMOTION]
    assert scene.history["why"].startswith("proven down: The fence reported")
    assert [step["step"] for step in takeover.steps][:2] == ["evidence", "fence"]


def test_a_failed_fence_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.silent(), fence=BackupHaError("exit code 1"))
    scene.fence, scene.breaks_session = Fence("fence_a"), False
    assert "exit code 1" in scene.refused()
    assert scene.events == ["fence"]


@pytest.mark.parametrize(("problem", "said"), [("", "removed meanwhile"), ("it is not JSON.", "it is not JSON.")])
def test_a_fence_that_is_gone_when_it_is_needed_refuses(
    monkeypatch: pytest.MonkeyPatch, problem: str, said: str
) -> None:
    scene = Scene(monkeypatch, evidences.silent())
    fences = [(Fence("fence_a"), ""), (None, problem)]
    monkeypatch.setattr(_takeover, "find_fence", lambda: fences.pop(0))
    assert said in scene.refused()
    assert scene.events == []


def test_a_fence_that_can_not_be_used_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.down())
    scene.fence_problem = "/etc/backup-ha/fence.json is not JSON."
    assert take_over(CONFIG, ANYTHING).changed
    scene.gathered = [evidences.silent()]
    assert scene.fence_problem in " ".join(look(CONFIG, ANYTHING).refusals)


def test_the_agent_of_the_old_primary_may_need_a_moment_to_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.refused(), evidences.refused(), evidences.down())
    assert look(CONFIG, ANYTHING).finding.name == "proven_down"
    scene.gathered = [evidences.refused()]
    assert look(CONFIG, ANYTHING).finding.name == "unreachable"
    assert scene.now > _takeover.LINGER_S


@pytest.mark.parametrize(
    "after",
    [
        changed(evidences.silent(), there={"port": "open", "session": "writer"}),
        changed(evidences.silent(), there={"port": "open"}),
        changed(evidences.silent(), endpoint={"holder": "02:00:00:00:00:01"}),
        changed(evidences.silent(), local={"paused": True}),
    ],
)
def test_a_fence_that_only_says_so_refuses(monkeypatch: pytest.MonkeyPatch, after: Evidence) -> None:
    scene = Scene(monkeypatch, evidences.silent(), after)
    scene.fence = Fence("fence_a")
    assert "The fence reported success, and all the same" in scene.refused()
    assert scene.events == ["fence"]


def test_nobody_is_fenced_for_a_failover_that_is_refused_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.silent())
    scene.fence = Fence("fence_a")
    assert "Nothing may be lost" in scene.refused(Order(max_loss_bytes=0))
    assert scene.events == []


def test_the_bound_of_the_node_counts_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, max_loss_bytes=0)
    Scene(monkeypatch, evidences.down())
    assert "Nothing may be lost" in " ".join(look(config, Order()).refusals)
    assert look(config, Order(max_loss_bytes=1)).refusals == []


def test_an_endpoint_that_lingers_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    lingers = changed(evidences.down(), endpoint={"holder": "02:00:00:00:00:01"})
    scene = Scene(monkeypatch, lingers, lingers, evidences.down())
    take_over(CONFIG, Order())
    assert 0.1 < scene.now < _takeover.LINGER_S
    scene = Scene(monkeypatch, lingers)
    assert "answers for the endpoint" in scene.refused()


def test_what_the_control_node_saw_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    control = {"primary": {}, "port": "open", "endpoint_port": "silent"}
    scene = Scene(monkeypatch, evidences.down())
    assert "from the control node" in scene.refused(Order(control=control))


def test_another_promotion_is_not_crossed(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.down())
    scene.locks["local"] = False
    assert f"its lock is held on {CONFIG.node}" in scene.refused()
    scene = Scene(monkeypatch, evidences.standby())
    scene.locks["peer"] = False
    assert f"its lock is held on {CONFIG.peer}" in scene.refused()


def test_the_lock_of_a_standby_is_taken_too(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.standby())
    take_over(CONFIG, Order())
    assert "peer" in scene.held


@pytest.mark.parametrize("failure", [UnreachableError("gone"), BROKEN])
def test_a_standby_that_vanishes_meanwhile(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    assert "Look again" in Scene(monkeypatch, evidences.standby(), connect_peer=failure).refused()


def test_a_standby_that_writes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.standby())
    scene.recovering["peer"] = False
    assert "accepts writes again" in scene.refused()


def test_a_writer_only_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.down())
    scene.recovering["local"] = False
    takeover = take_over(CONFIG, Order())
    assert scene.events == ["serve"] and not takeover.changed and takeover.report is None


@pytest.mark.parametrize("remembered", [False, True])
def test_a_refused_promotion_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, remembered: bool) -> None:
    scene = Scene(monkeypatch, evidences.down(), request=psycopg.errors.ObjectNotInPrerequisiteState("no"))
    scene.breaks_session, scene.remembers = False, remembered
    with pytest.raises(BackupHaError, match="refused its promotion"):
        take_over(CONFIG, Order())
    assert ("forget" in scene.events) is not remembered
    assert scene.held == []


@pytest.mark.parametrize("step", ["request", "writer"])
def test_a_server_that_dies_in_its_promotion_is_in_doubt(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """It remembers, so it asks to go on when it starts again."""
    scene = Scene(monkeypatch, evidences.down(), **{step: BROKEN})
    with pytest.raises(InDoubtError, match="told to become primary"):
        take_over(CONFIG, Order())
    assert "forget" not in scene.events and "endpoint" not in scene.events


@pytest.mark.parametrize("step", ["serve", "history"])
def test_what_fails_afterwards_is_told_and_not_taken_back(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    scene = Scene(monkeypatch, evidences.down(), **{step: BackupHaError("no disk.")})
    scene.breaks_session = False
    with pytest.raises(InDoubtError, match="accepts writes and has the endpoint, but") as raised:
        take_over(CONFIG, Order())
    assert "no disk." in str(raised.value)
    assert scene.events == ["replayed", *PROMOTION]
    assert scene.history.get("outcome") == ("incomplete" if step == "serve" else None)
