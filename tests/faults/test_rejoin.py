"""A rejoin of a former primary with a fork, broken at every step that this node writes down."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from tests.faults.breaking import FAULTS, World, seen_on_nodes
from tests.faults.journal import Journal
from tests.faults.matrix import Row, ending
from tests.scenarios.cluster import Cluster
from tests.scenarios.support import Lab, within
from tests.scenarios.watching import watch_over

pytestmark = pytest.mark.usefixtures("by_hand")
STEPS = ["keep_fork", "prepare_primary", "stop", "rewind", "start"]


def make_fork(world: World, lab: Lab) -> None:
    """The primary writes what never reaches the secondary, loses its power, and is replaced."""
    primary, secondary = world.cluster.primary, world.cluster.secondary
    lab.cut_link()
    lab.sql(primary, "CREATE TABLE fork AS SELECT generate_series(1, 1000) AS row; CHECKPOINT;")
    world.silence(primary)
    lab.sh(secondary, "backup-ha failover --yes --primary-is-off < /dev/null")
    world.heal()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_broken_at(cluster: Cluster, tmp_path: Path, step: str, fault: str) -> None:
    watch, world, lab = watch_over(cluster, tmp_path), World.of(cluster), cluster.lab
    found: list[Row] = []

    def break_and_repair() -> None:
        time.sleep(1)  # the clients are at work
        make_fork(world, lab)
        # From here on the roles are exchanged: the faults' primary is the new one.
        after = World(Cluster(lab, cluster.secondary), world.init)
        journal, began = Journal.of(lab, cluster.primary), time.monotonic()
        rejoin = lab.start("rejoin")
        journal.await_step(step, rejoin)
        FAULTS[fault](after, rejoin)
        first = None if fault == "controller killed" else rejoin.wait(150)
        after.heal()
        why = partial(seen_on_nodes, lab, "the new primary goes on")
        alone = bool(within(60, lambda: lab.writers() == [after.cluster.primary], why))
        if first is None or first.code != 0:
            lab.play("rejoin").check()
        seconds = round(time.monotonic() - began, 1)
        found.append(Row("rejoin", "secondary", step, fault, ending(first), alone, seconds))

    watch.over(break_and_repair, primary=cluster.secondary, may_lose=True)
    found[0].keep()
