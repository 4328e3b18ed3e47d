"""Running jobs are not cut off without a word."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from lab import bacula
from tests.scenarios.cluster import DIRECTOR, Cluster
from tests.scenarios.support import Lab, within
from tests.scenarios.test_outcomes import frozen
from tests.scenarios.test_switchover_refused import refused

# Of Debian's example configuration. It waits for a storage daemon that is not there, for half an hour.
NIGHTLY = "BackupClient1"
WAITS = "is waiting on Storage"


def console(lab: Lab, node: str) -> bacula.Run:
    """The console on a node, which asks the Director at the endpoint."""
    return lambda argv, stdin: lab.sh(node, f"{shlex.join(argv)} <<'CONSOLE'\n{stdin}CONSOLE")


def waiting_job(ask: bacula.Run, name: str) -> int:
    """Begin a job whose storage daemon does not answer, and wait until it does nothing any more but wait for that."""
    number = bacula.run_job(ask, name)
    within(20, lambda: WAITS in bacula.console(ask, "status dir running"), "the job waits for its storage daemon")
    return number


@pytest.fixture
def job(cluster: Cluster) -> Iterator[int]:
    ask = console(cluster.lab, cluster.primary)
    number = waiting_job(ask, NIGHTLY)
    yield number
    if not bacula.job(ask, number).ended:
        bacula.console(ask, f"cancel jobid={number} yes")
        bacula.wait(ask, number, timeout=60)


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["real", "rehearsed"])
def test_refused_while_a_job_runs_and_that_goes_on(cluster: Cluster, job: int, options: tuple[str, ...]) -> None:
    words = (f"Jobs run on {cluster.primary} (1)", "Wait until they have ended", "backup_ha_on_busy: cancel")
    refused(cluster, *words, options=options)
    assert not bacula.job(console(cluster.lab, cluster.primary), job).ended
    assert cluster.settle() == cluster.primary


def test_done_when_it_may_be_cut_off(cluster: Cluster, job: int) -> None:
    cluster.lab.play("switchover", "-e", "backup_ha_on_busy=cancel").check()
    cluster.settle(cluster.secondary)
    found = bacula.job(console(cluster.lab, cluster.secondary), job)
    assert found.ended and not found.ok, found


@pytest.mark.later
@pytest.mark.later
def test_a_director_that_does_not_say_what_it_runs(cluster: Cluster) -> None:
    lab = cluster.lab
    with frozen(lab, cluster.primary, f"systemctl show -P MainPID {DIRECTOR}"):
        refused(cluster, f"on {cluster.primary} runs and does not say how many jobs", "backup_ha_on_busy: cancel")
        lab.play("switchover", "-e", "backup_ha_on_busy=cancel").check()
    cluster.settle(cluster.secondary)
