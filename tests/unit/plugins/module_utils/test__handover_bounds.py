# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Just before the other node is promoted: nothing may have changed meanwhile, however long this process stood still."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _handover
from ansible_collections.duet.backup_ha.plugins.module_utils._control import ControlData
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import RolledBackError
from ansible_collections.duet.backup_ha.plugins.module_utils._prelude import Terms
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Stage

TERMS = Terms(timeout=10)


class Interlude(Stage):
    """Something happens on the giving node after the other one has replayed everything."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, began: str = "", seconds: float = 0.0) -> None:
        super().__init__(monkeypatch)
        self.began, self.seconds = began, seconds
        self.running = False
        monkeypatch.setattr(_handover, "postmaster_pid", lambda _server: 42 if self.runs() else None)

    def runs(self) -> bool:
        return self.running or not self.state.startswith("shut down")

    def did(self, event: str) -> None:
        super().did(event)
        if event == "await_replay":
            self.now += self.seconds
            self.running = bool(self.began)
            self.recovering["node1"] = self.began == "standby"


def test_a_deadline_that_passed_meanwhile_puts_the_old_primary_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Interlude(monkeypatch, seconds=10.1)
    with pytest.raises(RolledBackError, match="The time without a writer was over"):
        _handover.give(CONFIG, TERMS)
    assert "request_promotion" not in stage.events
    assert stage.events[-2:] == ["start_server", "resume"]


def test_a_node_that_goes_on_alone_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator has given his word; it must not be ended, and nobody else be promoted."""
    stage = Interlude(monkeypatch, began="writer")
    with pytest.raises(RolledBackError, match="PostgreSQL on node1 has been started meanwhile"):
        _handover.give(CONFIG, TERMS)
    assert stage.events[-1] == "serve_on"
    assert not {"request_promotion", "stop_at_once", "start_server"} & set(stage.events)


def test_a_node_that_was_only_started_asks_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Interlude(monkeypatch, began="standby")
    with pytest.raises(RolledBackError, match="PostgreSQL on node1 has been started meanwhile"):
        _handover.give(CONFIG, TERMS)
    assert stage.events[-1] == "resume"
    assert not {"request_promotion", "stop_at_once", "start_server"} & set(stage.events)


def test_one_that_was_started_and_stopped_again_has_another_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)

    def control_data(_server: object) -> ControlData:
        control = ControlData(stage.state, "0/3000028", 1, "7", False, True)
        return replace(control, checkpoint_lsn="0/4000028") if "await_replay" in stage.events else control

    monkeypatch.setattr(_handover, "control_data", control_data)
    with pytest.raises(RolledBackError, match="has been started meanwhile"):
        _handover.give(CONFIG, TERMS)
    assert "request_promotion" not in stage.events
