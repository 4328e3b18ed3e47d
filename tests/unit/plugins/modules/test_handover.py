# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rehearsed handover looks at both nodes and plans what is left."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _handover
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._handover_plan import GIVE_STEPS
from ansible_collections.duet.backup_ha.plugins.modules import handover
from ansible_collections.duet.backup_ha.tests.unit.plugins.modules.conftest import Run
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session, Stage


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage(monkeypatch)
    monkeypatch.setattr(handover, "require_config", lambda: CONFIG)
    monkeypatch.setattr(handover, "give", lambda *_arguments: pytest.fail("a real one"))
    monkeypatch.setattr(handover, "take", lambda *_arguments: pytest.fail("a real one"))
    for name in ("connect_peer", "control_data", "in_recovery"):
        monkeypatch.setattr(handover, name, getattr(_handover, name))
    monkeypatch.setattr(handover, "connect_local", lambda _server: Session("node1"))
    return made


def rehearse(run_module: Run, side: str) -> dict[str, Any]:
    return run_module(handover.main, _check=True, side=side)


def is_planned(found: dict[str, Any], steps: list[str]) -> bool:
    return [found.get(key) for key in ("changed", "plan", "outcome")] == [bool(steps), steps, "planned"]


def test_a_primary_gives_everything(stage: Stage, run_module: Run) -> None:
    assert is_planned(rehearse(run_module, "give"), list(GIVE_STEPS))
    assert stage.events == []


def test_what_is_left_of_an_interrupted_one_is_planned(stage: Stage, run_module: Run) -> None:
    stage.state = "shut down"
    left = ["await_replay", "promote_secondary", "release_endpoint", "start_standby"]
    assert is_planned(rehearse(run_module, "give"), left)


def test_one_that_follows_already_has_nothing_to_give(stage: Stage, run_module: Run) -> None:
    stage.state, stage.recovering = "in archive recovery", {"node1": True, "node2": False}
    assert is_planned(rehearse(run_module, "give"), [])


def test_two_writers_are_refused(stage: Stage, run_module: Run) -> None:
    stage.recovering["node2"] = False
    found = rehearse(run_module, "give")
    assert found["failed"] and found["outcome"] == "refused" and "Both nodes accept writes" in found["reasons"][0]


@pytest.mark.usefixtures("stage")
def test_a_silent_secondary_fails(monkeypatch: pytest.MonkeyPatch, run_module: Run) -> None:
    def silent(_config: object) -> Session:
        raise UnreachableError("PostgreSQL on node2 does not answer")

    monkeypatch.setattr(handover, "connect_peer", silent)
    found = rehearse(run_module, "give")
    assert found["failed"] and found["reasons"] == ["PostgreSQL on node2 does not answer"]


@pytest.mark.parametrize(
    ("recovering", "steps"), [(True, handover.TAKE_STEPS), (False, ["take_endpoint", "start_primary_target"])]
)
def test_a_secondary_takes(stage: Stage, run_module: Run, recovering: bool, steps: list[str]) -> None:
    stage.recovering["node1"] = recovering
    assert is_planned(rehearse(run_module, "take"), steps)
    assert stage.events == []
