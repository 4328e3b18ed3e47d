"""Two playbooks on one cluster at the same time: one of them runs, the other says which one does."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.playbook import Running
from tests.scenarios.support import NODES, within


def operation(cluster: Cluster, node: str) -> str:
    """The kind of the operation that a node has a record of."""
    record = cluster.lab.sh(node, "cat /var/lib/backup-ha/operation.json", check=False)
    return str(json.loads(record)["kind"]) if record else ""


@contextmanager
def halted(running: Running) -> Iterator[None]:
    """A playbook stands still meanwhile, so that another one meets it in the middle, however fast either is."""
    os.killpg(running.process.pid, signal.SIGSTOP)
    time.sleep(3)  # what it has begun on the nodes goes on to its end
    try:
        yield
    finally:
        os.killpg(running.process.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("assemble", "switchover"),
        pytest.param("switchover", "assemble", marks=pytest.mark.later),
        pytest.param("switchover", "switchover", marks=pytest.mark.later),
    ],
)
def test_the_second_playbook_is_refused(cluster: Cluster, first: str, second: str) -> None:
    lab = cluster.lab
    running = lab.start(first)
    within(90, lambda: all(operation(cluster, node) == first for node in NODES), "the operation has begun")
    with halted(running), lab.unchanged():
        outcome = lab.play(second)
    assert outcome.code != 0, outcome
    assert "Another operation is running on this cluster" in outcome.said, outcome
    assert f"The operation '{first}', started at" in outcome.said, outcome
    assert sum(outcome.changed.values()) == 0, outcome
    running.wait().check()
    cluster.settle(cluster.secondary if first == "switchover" else cluster.primary)


@pytest.mark.parametrize("attempt", range(2))
def test_of_two_that_start_together_exactly_one_runs(cluster: Cluster, attempt: int) -> None:
    both = [cluster.lab.start("switchover") for _ in range(2)]
    outcomes = sorted((running.wait() for running in both), key=lambda outcome: outcome.code)
    codes = [outcome.code for outcome in outcomes]
    assert codes[0] == 0 and codes[1] != 0, (attempt, *map(str, outcomes))
    assert "The operation 'switchover', started at" in outcomes[1].said, outcomes[1]
    cluster.settle(cluster.secondary)
