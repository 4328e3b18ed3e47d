# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A takeover without servers, broken at every step: what happens in which order, and what is left behind."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _takeover
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    BackupHaError,
    InDoubtError,
    UnreachableError,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._fence import Fence
from ansible_collections.duet.backup_ha.plugins.module_utils._takeover import Order, look, take_over
from ansible_collections.duet.backup_ha.tests.unit.plugins import evidences
from ansible_collections.duet.backup_ha.tests.unit.plugins.evidences import changed
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG
from ansible_collections.duet.backup_ha.tests.unit.plugins.taking_over import ANYTHING, Scene

BROKEN = psycopg.OperationalError("server closed the connection unexpectedly")
PROMOTION = ["remember", "request", "writer", "endpoint", "announce", "serve", "history"]


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
    scene.fence = Fence("fence_a"), ""
    take_over(CONFIG, Order(primary_is_off=True))
    assert "fence" not in scene.events


def test_silence_is_fenced_and_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.silent())
    scene.fence = Fence("fence_a"), ""
    takeover = take_over(CONFIG, Order())
    assert scene.events == ["fence", "replayed", *PROMOTION]
    assert scene.history["why"].startswith("proven down: The fence reported")
    assert [step["step"] for step in takeover.steps][:2] == ["evidence", "fence"]


def test_the_agent_of_the_old_primary_may_need_a_moment_to_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.refused(), evidences.refused(), evidences.down())
    assert look(CONFIG, ANYTHING).finding.name == "proven_down"
    scene.gathered = [evidences.refused()]
    assert look(CONFIG, ANYTHING).finding.name == "unreachable"
    assert scene.now > _takeover.LINGER_S


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
