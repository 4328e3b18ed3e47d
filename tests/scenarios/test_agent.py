"""Commits wait for the secondary while it is there; a primary that slept, or that nobody reaches, serves no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import Lab, within
from tests.scenarios.taking_over import DONE, failover, never_writes, serves
from tests.scenarios.watching import watch_over

AGENT = "backup-ha-agent.service"
WORD = "SELECT node, timeline, protected FROM backup_ha.protection ORDER BY id DESC LIMIT 1"
TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
HANG_S = 3
# As a client commits: it waits as the server wants it to.
COMMIT = (
    f"cd /; PGOPTIONS='-c statement_timeout={HANG_S}s' timeout {HANG_S + 2} runuser -u postgres -- "
    'psql -XAtqc "INSERT INTO backup_ha.probe (asked_by) VALUES (gen_random_uuid()::text)" backup_ha 2>&1'
)


def is_protected(lab: Lab, primary: str) -> bool:
    timeline = int(lab.sql(primary, TIMELINE), 16)
    return lab.sql(primary, WORD, "backup_ha") == f"{primary}|{timeline}|t"


def wait_until_protected(lab: Lab, primary: str) -> None:
    within(20, lambda: is_protected(lab, primary), "commits are protected")


def commits(lab: Lab, primary: str) -> bool:
    """A client's commit is acknowledged within a moment."""
    return not lab.fails(primary, COMMIT)


@pytest.fixture(scope="module", autouse=True)
def as_it_was(lab: Lab) -> Iterator[None]:
    """The other scenarios share the cluster."""
    yield
    lab.play("assemble").check()


@pytest.fixture
def protected(cluster: Cluster) -> Cluster:
    """Commits wait for the secondary, and go on alone after ten seconds."""
    if not is_protected(cluster.lab, cluster.primary):
        cluster.lab.play("assemble", "-e", "backup_ha_synchronous=preferred").check()
    wait_until_protected(cluster.lab, cluster.primary)
    return cluster


def test_alone_after_a_while_and_protected_again(protected: Cluster) -> None:
    lab, primary = protected.lab, protected.primary
    assert lab.play("status").check().verdict == "healthy"
    lab.power_off(protected.secondary)
    assert not commits(lab, primary), "it does not wait"
    within(30, lambda: commits(lab, primary), "the primary goes on alone")
    assert not is_protected(lab, primary), "the word was taken back before"
    status = lab.play("status")
    assert "do not wait for the secondary" in status.said and "has not streamed for 1" in status.said, status
    lab.power_on(protected.secondary)
    wait_until_protected(lab, primary)
    protected.settle(primary)


def test_it_can_be_switched_off(protected: Cluster) -> None:
    lab, primary = protected.lab, protected.primary
    lab.play("assemble", "-e", "backup_ha_synchronous=off").check()
    within(10, lambda: not lab.sql(primary, "SHOW synchronous_standby_names"), "commits wait for nobody")
    assert not is_protected(lab, primary)
    assert lab.play("status").check().verdict == "healthy"


def test_a_switchover_takes_the_protection_along(protected: Cluster, tmp_path: Path) -> None:
    lab, new = protected.lab, protected.secondary
    assert watch_over(protected, tmp_path).over(lambda: lab.play("switchover").check(), new) == new
    wait_until_protected(lab, new)
    assert not lab.sql(protected.primary, "SHOW synchronous_standby_names"), "it would wait when it is primary again"


def test_a_failover_loses_nothing_that_was_acknowledged(protected: Cluster, tmp_path: Path) -> None:
    lab, old, new = protected.lab, protected.primary, protected.secondary

    def fail_over() -> None:
        time.sleep(1.0)
        lab.power_off(old)
        answer = failover(lab, new, "--yes", "--primary-is-off")
        assert answer.code == DONE and f"What {old} acknowledged is on {new}: commits waited" in answer.said, answer
        serves(lab, new)
        lab.power_on(old)
        within(30, lambda: not lab.fails(old, "systemctl is-active postgresql@15-main"), "the old primary boots")
        lab.play("rejoin").check()

    assert watch_over(protected, tmp_path).over(fail_over, new) == new
    wait_until_protected(lab, new)


@contextmanager
def reached_by_nobody(lab: Lab, node: str) -> Iterator[None]:
    """As with a cable that is pulled."""
    route = lab.sh(node, "ip route show default; ip link set eth0 down").splitlines()[0]
    try:
        yield
    finally:
        lab.sh(node, f"ip link set eth0 up; ip route add {route}")


def test_a_primary_that_was_frozen_wakes_and_serves_nobody(protected: Cluster, tmp_path: Path) -> None:
    """A frozen machine answers nobody; a frozen container's kernel does, so it is cut off as well."""
    lab, old, new = protected.lab, protected.primary, protected.secondary

    def sleep_and_wake() -> None:
        time.sleep(1.0)
        with reached_by_nobody(lab, old):
            lab.podman("pause", old)
            try:
                answer = failover(lab, new, "--yes", "--primary-is-off")
                assert answer.code == DONE, answer
                serves(lab, new)
            finally:
                lab.podman("unpause", old)
        assert not commits(lab, old), "a commit that nobody will ever see was acknowledged"
        within(15, lambda: not lab.has_endpoint(old), "it gives the endpoint up")
        never_writes(lab, old)
        lab.play("rejoin").check()

    assert watch_over(protected, tmp_path).over(sleep_and_wake, new) == new
    wait_until_protected(lab, new)


def test_a_primary_that_reaches_nobody_stops_and_resumes(protected: Cluster) -> None:
    lab, primary = protected.lab, protected.primary
    with reached_by_nobody(lab, primary):
        assert not commits(lab, primary)
        within(40, lambda: not lab.has_endpoint(primary), "it stops serving")
        never_writes(lab, primary)
    protected.settle(primary)
    wait_until_protected(lab, primary)


def test_without_agents_nothing_is_less_safe(protected: Cluster, tmp_path: Path) -> None:
    """They are stopped or killed: commits wait on, roles are exchanged, and status names the missing."""
    lab, old, new = protected.lab, protected.primary, protected.secondary
    lab.sh(old, f"systemctl kill -s KILL {AGENT}")
    within(10, lambda: lab.is_active(old, AGENT), "systemd starts it again")
    for node in (old, new):
        lab.sh(node, f"systemctl stop {AGENT}")
    lab.power_off(new)
    time.sleep(12)
    assert not commits(lab, old), "nobody was there to let it go on alone"
    lab.power_on(new)
    within(30, lambda: commits(lab, old), "the secondary is back")
    protected.settle(old)
    lab.sh(old, f"systemctl stop {AGENT}")
    status = lab.play("status")
    assert f"{AGENT} does not run on {old}" in status.said and f"systemctl start {AGENT}" in status.said, status
    assert watch_over(protected, tmp_path).over(lambda: lab.play("switchover").check(), new) == new
    wait_until_protected(lab, new)
