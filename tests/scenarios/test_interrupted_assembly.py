"""The control process of an assembly dies again and again: each run goes on where it may, the last one ends well."""

from __future__ import annotations

import time

from tests.scenarios.cluster import catalog, faults
from tests.scenarios.support import NODES, Lab, within

# A task and the seconds that it may work before everything is killed. Each run gets further than the one before.
MOMENTS = {
    "Begin the operation on the other node": 0.0,
    "Create PostgreSQL's cluster where there is none": 0.8,
    "Install the node library, the node's description and PostgreSQL's settings": 0.5,
    "Make PostgreSQL read its settings, and restart it once if they need that": 0.5,
    "Begin to copy the primary to the secondary": 1.5,
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
