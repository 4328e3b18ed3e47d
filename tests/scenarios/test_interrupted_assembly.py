"""The control process of an assembly dies again and again: each run goes on where it may, the last one ends well."""

from __future__ import annotations

import time

import pytest

from tests.scenarios.cluster import catalog, faults
from tests.scenarios.support import NODES, Lab, within
from tests.scenarios.test_assembly_refused import make_data

# A task and the seconds that it may work before everything is killed. Each run gets further than the one before.
MOMENTS = {
    "Begin the operation on the other node": 0.0,
    "Create PostgreSQL's cluster where there is none": 0.8,
    "Install the node library, the node's description and PostgreSQL's settings": 0.5,
    "Make PostgreSQL take up its settings, and hold the cluster's database": 0.5,
    "Begin to copy the primary to the secondary": 0.7,
    "Put the units in place": 0.1,
    "Make the catalog": 1.0,
    "Make the primary serve": 0.5,
    "Apply the workload's files": 0.3,
}


def test_an_assembly_that_is_killed_at_many_moments_ends_well(blank: Lab) -> None:
    for task, pause in MOMENTS.items():
        assembly = blank.start("assemble")
        assembly.await_task(task)
        time.sleep(pause)
        assembly.kill()
    outcome = blank.play("assemble").check()
    within(30, lambda: not faults(blank), lambda: f"a sound cluster; {faults(blank)}; {outcome}")
    assert blank.play("status").verdict == "healthy"
    assert catalog(blank, "node1") == catalog(blank, "node2")
    again = blank.play("assemble").check()
    assert again.changed == dict.fromkeys(NODES, 0), again


@pytest.mark.later
def test_what_may_be_erased_may_be_erased_after_an_interruption(lab: Lab) -> None:
    """The secondary is a node by then, and still holds what the word was given for."""
    lab.reset(*NODES)
    make_data(lab, "node2")
    allowed = ("-e", "backup_ha_initial_primary=node1", "-e", "backup_ha_erase_secondary=node2")
    assembly = lab.start("assemble", *allowed)
    assembly.await_task("Begin to copy the primary to the secondary")
    assembly.kill()
    lab.sh("node2", "systemctl kill --signal=KILL backup-ha-clone.service", check=False)
    lab.play("assemble", *allowed).check()
    within(30, lambda: not faults(lab), lambda: f"a sound cluster; {faults(lab)}")
