"""A failover of a primary that has lost its power, broken at every step that the secondary writes down."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.breaking import World, kill_controller, kill_secondary
from tests.faults.journal import Journal
from tests.faults.matrix import Row, ending
from tests.scenarios.cluster import Cluster
from tests.scenarios.playbook import Running
from tests.scenarios.test_agent import wait_until_protected
from tests.scenarios.watching import watch_over

STEPS = ["promote", "serve"]
FAULTS: dict[str, Callable[[World, Running], None]] = {
    "controller killed": kill_controller,
    "secondary killed": kill_secondary,
    "secondary silent": lambda world, _running: world.silence(world.cluster.secondary),
    "primary comes back": lambda world, _running: world.power_on(world.cluster.primary),
}


# How commits are acknowledged: with the secondary none may be lost that a client outside was told of.
MODES = {"failover": "off", "failover, synchronous": "preferred"}


def let_commits(cluster: Cluster, mode: str) -> None:
    lab, primary = cluster.lab, cluster.primary
    if lab.sh(primary, f'grep \'"synchronous": "{mode}"\' /etc/backup-ha/node.json', check=False) == "":
        lab.play("assemble", "-e", f"backup_ha_synchronous={mode}").check()
    if mode != "off":
        wait_until_protected(lab, primary)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("workflow", MODES)
def test_broken_at(cluster: Cluster, tmp_path: Path, workflow: str, step: str, fault: str) -> None:
    let_commits(cluster, MODES[workflow])
    watch, world, lab = watch_over(cluster, tmp_path), World.of(cluster), cluster.lab
    primary, secondary = cluster.primary, cluster.secondary
    journal, began = Journal.of(lab, secondary), time.monotonic()
    word = ("-e", f"backup_ha_failover_confirmed={primary}", "-e", f"backup_ha_primary_is_off={primary}")
    found: list[Row] = []

    def break_and_repair() -> None:
        time.sleep(1)  # the clients are at work
        world.silence(primary)
        failover = lab.start("failover", *word)
        journal.await_step(step, failover)
        FAULTS[fault](world, failover)
        first = None if fault == "controller killed" else failover.wait(150)
        if world.is_off(secondary):
            world.power_on(secondary)
        lab.forget_connections()
        served = lab.accepts_writes(secondary)
        if first is None or first.code != 0:
            lab.play("failover", *word).check()
        world.heal()
        lab.play("rejoin").check()
        seconds = round(time.monotonic() - began, 1)
        found.append(Row(workflow, "secondary", step, fault, ending(first), served, seconds))

    # Without the secondary, the primary may have acknowledged what it had no time to send.
    watch.over(break_and_repair, primary=secondary, may_lose=MODES[workflow] == "off")
    found[0].keep()
