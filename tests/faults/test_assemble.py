"""An assembly of two blank servers, broken at every step that a node writes down."""

from __future__ import annotations

import time

import pytest

from tests.faults.breaking import FAULTS, World
from tests.faults.journal import Journal
from tests.faults.matrix import Row, ending
from tests.scenarios.cluster import Cluster, catalog, sound_primary
from tests.scenarios.support import NODES, Lab, within

PRIMARY, SECONDARY = NODES
STEPS = [
    (PRIMARY, "make_key"),
    (PRIMARY, "sign_certificates"),
    (PRIMARY, "write_files"),
    (SECONDARY, "write_files"),
    (PRIMARY, "prepare_postgresql"),
    (SECONDARY, "copy"),
    (PRIMARY, "change_addresses"),
    (PRIMARY, "promote"),
    (PRIMARY, "capture_files"),
    (SECONDARY, "apply_files"),
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("node", "step"), STEPS)
def test_broken_at(lab: Lab, node: str, step: str, fault: str) -> None:
    lab.reset(*NODES)
    cluster = Cluster(lab, PRIMARY)
    world, journal, began = World.of(cluster), Journal.of(lab, node), time.monotonic()
    assembly = lab.start("assemble")
    journal.await_step(step, assembly)
    FAULTS[fault](world, assembly)
    first = None if fault == "controller killed" else assembly.wait(150)
    world.heal()
    alone = sound_primary(lab) != ""
    lab.play("assemble").check()
    cluster.settle(PRIMARY)
    within(10, lambda: catalog(lab, PRIMARY) == catalog(lab, SECONDARY), "the same catalog on both nodes")
    again = lab.play("assemble").check()
    assert again.changed == dict.fromkeys(NODES, 0), again
    role = "primary" if node == PRIMARY else "secondary"
    Row("assemble", role, step, fault, ending(first), alone, round(time.monotonic() - began, 1)).keep()
