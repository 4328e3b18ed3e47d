"""A switchover that can't work is refused in a sentence, before anything has changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.playbook import Outcome
from tests.scenarios.support import DATA, UNIT, within

MEBIBYTES = 100
MEBIBYTE_OF_WAL = "pg_logical_emit_message(false, 'scenario', repeat('x', 1048576))"
WRITE = f"SELECT count({MEBIBYTE_OF_WAL}) FROM generate_series(1, {MEBIBYTES})"


def refused(cluster: Cluster, *words: str, hosts: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> Outcome:
    """Switch over, and prove that this was refused with these words, and that nothing has changed."""
    with cluster.lab.unchanged(*hosts):
        outcome = cluster.lab.play("switchover", *options)
    assert outcome.code != 0, outcome
    for word in words:
        assert word in outcome.said, outcome
    for noise in ("Traceback", "MODULE FAILURE", "is undefined", "has no attribute"):
        assert noise not in outcome.output, outcome
    assert sum(outcome.changed.values()) == 0, outcome
    return outcome


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["real", "rehearsed"])
def test_postgresql_is_stopped_on_the_secondary(cluster: Cluster, options: tuple[str, ...]) -> None:
    cluster.lab.sh(cluster.secondary, f"systemctl stop {UNIT}")
    words = f"{cluster.secondary} is stopped; a switchover needs a secondary that follows {cluster.primary}"
    refused(cluster, words, options=options)
    cluster.lab.sh(cluster.secondary, f"systemctl start {UNIT}")
    cluster.settle(cluster.primary)


def test_the_secondary_is_far_behind(cluster: Cluster) -> None:
    lab = cluster.lab
    lab.sql(cluster.secondary, "SELECT pg_wal_replay_pause()")
    lab.sql(cluster.primary, WRITE)
    lag = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
    within(30, lambda: int(lab.sql(cluster.secondary, lag)) > MEBIBYTES * 2**20, "WAL has arrived and waits")
    behind = rf"{cluster.secondary} is 1\d\d\.\d MiB behind {cluster.primary}; 16\.0 MiB are allowed"
    outcome = refused(cluster, "backup_ha_max_lag_bytes")
    assert re.search(behind, outcome.said), outcome
    lab.sql(cluster.secondary, "SELECT pg_wal_replay_resume()")
    cluster.settle(cluster.primary)


@contextmanager
def another_cluster(cluster: Cluster) -> Iterator[None]:
    """The secondary's data directory is a new one, with an identity of its own."""
    lab, node = cluster.lab, cluster.secondary
    initdb = f"cd /; runuser -u postgres -- /usr/lib/postgresql/15/bin/initdb --auth=peer --pgdata={DATA}"
    lab.sh(node, f"systemctl stop {UNIT}; mv {DATA} {DATA}.kept; {initdb}; systemctl start {UNIT}")
    yield
    lab.sh(node, f"systemctl stop {UNIT}; rm -r {DATA}; mv {DATA}.kept {DATA}; systemctl start {UNIT}")


def test_the_secondary_is_no_standby_of_this_primary(cluster: Cluster) -> None:
    with another_cluster(cluster):
        refused(cluster, f"{cluster.secondary} is not a standby of {cluster.primary}", "system identifier")
        status = cluster.lab.play("status")
        assert status.code != 0 and f"{cluster.secondary} is not a copy of {cluster.primary}" in status.said, status
    cluster.settle(cluster.primary)


def test_the_secondary_does_not_answer(cluster: Cluster) -> None:
    cluster.lab.power_off(cluster.secondary)
    words = f"{cluster.secondary} does not answer over SSH; a switchover needs both nodes"
    refused(cluster, words, hosts=(cluster.primary,))
    cluster.lab.power_on(cluster.secondary)
    cluster.settle(cluster.primary)


def test_the_secondary_does_not_stream(cluster: Cluster) -> None:
    lab = cluster.lab
    lab.cut_link()
    try:
        stopped = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
        within(30, lambda: lab.sql(cluster.secondary, stopped) == "0", "the receiver has noticed")
        refused(cluster, f"{cluster.secondary} does not stream from {cluster.primary}")
    finally:
        lab.mend_link()
    cluster.settle(cluster.primary)


def test_the_primary_lacks_the_endpoint(cluster: Cluster) -> None:
    lab = cluster.lab
    lab.sh(cluster.primary, f"ip address del {lab.endpoint}/24 dev eth0")
    refused(cluster, f"The primary {cluster.primary} does not have the endpoint {lab.endpoint}")
    lab.sh(cluster.primary, "systemctl restart backup-ha-endpoint.service")
    cluster.settle(cluster.primary)
