# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator of a random run does what status names, and gives up when that leads nowhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults import random_operator
from tests.faults.random_operator import FindingError, Operator
from tests.scenarios.playbook import Outcome

REJOIN = "ansible-playbook duet.backup_ha.rejoin (or on node2: backup-ha rejoin)"


@dataclass
class FakeLab:
    """Says one verdict after the other, the last one for ever, and remembers what was done."""

    verdicts: list[dict[str, Any]]
    sound: bool = False
    done: list[str] = field(default_factory=list)
    deceived: bool = False

    def play(self, playbook: str, *options: str, timeout: float = 0) -> Outcome:
        assert timeout > 0
        if playbook == "status":
            found = self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]
            self.sound = found["verdict"] == "healthy" and not self.deceived
            return Outcome(0, 1.0, json.dumps({"clusters": [found]}, indent=1), Path())
        self.done.append(" ".join([playbook, *options]))
        return Outcome(0, 1.0, "", Path())

    def sh(self, node: str, script: str, **_options: bool) -> str:
        self.done.append(f"{node}: {script}")
        return ""


def verdict(word: str, said: str | None = None, reasons: str = "", primary: str | None = "node1") -> dict[str, Any]:
    nodes = {
        "node1": {"postgresql": {"timeline": 4, "lsn": "0/5000"}},
        "node2": {"postgresql": {"timeline": 4, "lsn": None, "replay_lsn": "0/6000"}},
    }
    return {"verdict": word, "next": said, "reasons": [reasons], "primary": primary, "nodes": nodes}


HEALTHY = verdict("healthy")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def sound(lab: FakeLab) -> str:
        return "node1" if lab.sound else ""

    monkeypatch.setattr(random_operator, "sound_primary", sound)
    monkeypatch.setattr(random_operator, "faults", lambda _lab: ["nobody writes"])
    monkeypatch.setattr(random_operator, "BY_ITSELF_S", 0.0)
    monkeypatch.setattr(random_operator, "LOOKS_APART_S", 0.0)


def operator(*verdicts: dict[str, Any], patient: bool = False) -> tuple[Operator, FakeLab]:
    lab = FakeLab(list(verdicts))
    return Operator(lab, "node2", patient, lambda _line: None), lab  # type: ignore[arg-type]


def test_she_follows_status_until_it_says_healthy() -> None:
    her, lab = operator(
        verdict("degraded", REJOIN), verdict("failed", "On node1: backup-ha resume"), verdict("x", None), HEALTHY
    )
    assert her.restore() == "node1"
    assert lab.done == ["rejoin", "node1: timeout 60 backup-ha resume 2>&1"]
    assert her.commands == ["rejoin", "backup-ha resume on node1"] and not her.alone


def test_a_patient_one_looks_twice() -> None:
    her, lab = operator(verdict("degraded", REJOIN), HEALTHY, patient=True)
    her.restore()
    assert lab.done == []
    her, lab = operator(verdict("degraded", REJOIN), verdict("degraded", REJOIN), HEALTHY, patient=True)
    her.restore()
    assert lab.done == ["rejoin"]


def test_healthy_is_not_believed_without_a_look() -> None:
    her, lab = operator(HEALTHY)
    her.began -= random_operator.LIMIT_S + 1
    lab.deceived = True
    with pytest.raises(FindingError, match="nobody writes"):
        her.restore()


@pytest.mark.parametrize(("patient", "done"), [(False, ["switchover -e backup_ha_on_busy=cancel"]), (True, [])])
def test_what_she_knows_is_interrupted_is_run_again(patient: bool, done: list[str]) -> None:
    wait = verdict("degraded", "Wait a moment and look again.", "The operation 'switchover' by root@vm is running.")
    her, lab = operator(wait, HEALTHY, patient=patient)
    her.restore()
    assert lab.done == done


def test_a_failover_names_who_is_gone() -> None:
    left = "ansible-playbook duet.backup_ha.failover"
    her, lab = operator(verdict("degraded", left), verdict("failed", left, primary=None), HEALTHY)
    her.old = "node1"
    her.restore()
    assert lab.done == [f"failover -e backup_ha_failover_confirmed={node}" for node in ("node2", "node1")]


def test_where_neither_asks_the_higher_one_goes_on_alone() -> None:
    said = "journalctl -u backup-ha-resume says on each node what it waits for. Run: backup-ha resume --alone"
    her, lab = operator(verdict("failed", said, primary=None), HEALTHY)
    her.restore()
    assert lab.done == ["node2: timeout 60 backup-ha resume --alone 2>&1"]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (verdict("split", "Stop the primary target"), "status says split"),
        (verdict("unassembled", "ansible-playbook duet.backup_ha.assemble"), "status says unassembled"),
        (verdict("failed", "Pray."), "nobody can follow: Pray."),
        (verdict("degraded", REJOIN), "not in order after 8 commands"),
    ],
)
def test_what_she_can_not_put_right(found: dict[str, Any], why: str) -> None:
    her, _lab = operator(found)
    with pytest.raises(FindingError, match=why):
        her.restore()


def test_she_does_not_wait_for_ever() -> None:
    her, _lab = operator(verdict("degraded", "Wait a moment and look again."))
    her.began -= random_operator.LIMIT_S + 1
    with pytest.raises(FindingError, match="not in order 240 s after everything was mended"):
        her.restore()


def test_a_killed_playbook_is_run_again_before_she_looks() -> None:
    her, lab = operator(HEALTHY)
    her.again("switchover")
    assert lab.done == ["switchover -e backup_ha_on_busy=cancel"] and not her.alone
