"""A switchover, broken at every step that a node writes down."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.breaking import FAULTS, World
from tests.faults.journal import Journal
from tests.faults.matrix import Row, ending
from tests.scenarios.cluster import Cluster, faults
from tests.scenarios.watching import watch_over

# The node that writes it down, by the role that it has before, and the step.
STEPS = [
    ("primary", "capture_files"),
    ("secondary", "apply_files"),
    ("secondary", "await_promotion"),
    ("primary", "checkpoint"),
    ("primary", "stop_workload"),
    ("primary", "stop_primary"),
    ("primary", "promote_secondary"),
    ("secondary", "serve"),
    ("primary", "start_standby"),
    ("secondary", "record"),
]
SHORT = ("-e", "backup_ha_switchover_timeout=5")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("role", "step"), STEPS)
def test_broken_at(cluster: Cluster, tmp_path: Path, role: str, step: str, fault: str) -> None:
    watch, world, lab = watch_over(cluster, tmp_path), World.of(cluster), cluster.lab
    journal = Journal.of(lab, getattr(cluster, role))
    began = time.monotonic()
    found: list[Row] = []

    def break_and_repair() -> None:
        switchover = lab.start("switchover", *SHORT)
        journal.await_step(step, switchover)
        FAULTS[fault](world, switchover)
        first = None if fault == "controller killed" else switchover.wait(150)
        world.heal()
        alone = recovers(cluster)
        if first is None or first.code != 0:  # after one that was done it would be the next one
            lab.play("switchover").check()
        seconds = time.monotonic() - began
        found.append(Row("switchover", role, step, fault, ending(first), alone, round(seconds, 1)))

    # Whatever broke: the playbook that was begun is finished by running it again, and never undone by that.
    watch.over(break_and_repair, primary=cluster.secondary)
    found[0].keep()


def recovers(cluster: Cluster, seconds: float = 20.0) -> bool:
    """Whether the cluster is in order by itself, but for the record of the operation."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all("has the operation" in fault for fault in faults(cluster.lab)):
            return True
        time.sleep(0.5)
    return False
