# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rehearsed promotion says what the real one would do, and a refused one why."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _resume
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.modules import promote
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.modules.conftest import Run
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import LSN, SYSTEM

FORBIDDEN = ("promote_here", "serve", "try_lock", "drop_slot", "forget_having_been_primary")


class Pair:
    """node1 is asked; every attribute is one thing that a test changes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.observed = worlds.secondary("node1", "node2")
        self.recovering = {"node1": True, "node2": True}
        self.systems = {"node1": SYSTEM, "node2": SYSTEM}
        self.silent, self.was_primary, self.abstains = False, True, False
        for name in FORBIDDEN:
            monkeypatch.setattr(_resume, name, lambda *_arguments, name=name: pytest.fail(f"{name} in check mode"))
        monkeypatch.setattr(_resume, "connect_local", lambda _server: Session("node1"))
        monkeypatch.setattr(_resume, "connect_peer", self.connect_peer)
        monkeypatch.setattr(_resume, "observe_replication", self.position)
        monkeypatch.setattr(_resume, "peer_abstains", lambda _session: self.abstains)
        monkeypatch.setattr(_resume, "was_primary", lambda *_timeline: self.was_primary)
        monkeypatch.setattr(promote, "require_config", lambda: CONFIG)
        monkeypatch.setattr(promote, "observe_node", lambda _config: self.observed)
        monkeypatch.setattr(promote, "resume", lambda *_arguments, **_options: pytest.fail("a real attempt"))

    def connect_peer(self, _config: NodeConfig) -> Session:
        if self.silent:
            raise UnreachableError("PostgreSQL on node2 does not answer")
        return Session("node2")

    def position(self, session: Session) -> dict[str, Any]:
        return {
            "in_recovery": self.recovering[session.server],
            "timeline": 1,
            "lsn": LSN,
            "replay_lsn": LSN,
            "system_identifier": self.systems[session.server],
        }


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    return Pair(monkeypatch)


def is_planned(found: dict[str, Any], before: str) -> bool:
    keys = ("changed", "before", "after", "outcome")
    return [found.get(key) for key in keys] == [True, before, "primary", "planned"]


@pytest.mark.usefixtures("pair")
def test_one_that_was_primary_would_go_on(run_module: Run) -> None:
    assert is_planned(run_module(promote.main, _check=True), "secondary")


def test_a_writer_would_serve_whatever_the_other_node_says(pair: Pair, run_module: Run) -> None:
    pair.observed = worlds.changed(worlds.primary(), "services", worlds.TARGET, to=worlds.unit("inactive"))
    pair.recovering["node1"], pair.silent = False, True
    assert is_planned(run_module(promote.main, _check=True), "primary")


def test_one_that_serves_stays_as_it_is(pair: Pair, run_module: Run) -> None:
    pair.observed = worlds.primary()
    found = run_module(promote.main, _check=True)
    assert (found["changed"], found["outcome"]) == (False, "planned")


def test_the_word_that_the_other_node_is_lost_counts_over_silence(pair: Pair, run_module: Run) -> None:
    pair.silent = True
    assert is_planned(run_module(promote.main, _check=True, alone=True), "secondary")


def test_a_node_without_a_usable_copy_is_believed(pair: Pair, run_module: Run) -> None:
    pair.silent, pair.abstains = True, True
    assert is_planned(run_module(promote.main, _check=True), "secondary")


def test_a_writer_s_session_does_not_say_that_it_has_no_copy(pair: Pair, run_module: Run) -> None:
    pair.recovering["node2"], pair.abstains, pair.systems["node2"] = False, True, worlds.OTHER_SYSTEM
    assert run_module(promote.main, _check=True)["outcome"] == "refused"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"was_primary": False}, "this node was a secondary when it stopped"),
        ({"recovering": {"node1": True, "node2": False}}, "the other node is primary"),
        ({"silent": True}, "the other node does not answer, so it may have become primary"),
    ],
    ids=["a secondary", "the other one is primary", "silence"],
)
def test_what_would_be_refused_is_refused(pair: Pair, run_module: Run, change: dict[str, Any], why: str) -> None:
    vars(pair).update(change)
    found = run_module(promote.main, _check=True)
    assert found["failed"] and found["outcome"] == "refused"
    assert found["reasons"] == [f"{why}."] and "does not become primary" in found["msg"]


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize(
    ("answer", "why"),
    [("promoted", ""), ("follows", "the other node is primary, or this one was not."), ("another", "another.")],
)
def test_the_real_one(monkeypatch: pytest.MonkeyPatch, run_module: Run, answer: str, why: str) -> None:
    monkeypatch.setattr(promote, "resume", lambda *_arguments, **_options: answer)
    found = run_module(promote.main)
    assert (found["outcome"], found.get("reasons", [])) == (("refused", [why]) if why else ("done", []))
