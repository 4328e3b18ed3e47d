"""Two blank servers become a cluster, which exchanges its roles and exchanges them back."""

from __future__ import annotations

import pytest

from tests.scenarios.cluster import Cluster, catalog, director_answers, faults
from tests.scenarios.support import NODES, PEER, Lab


def test_two_blank_servers_become_a_healthy_cluster(blank: Lab) -> None:
    blank.play("assemble").check()
    assert faults(blank) == []
    status = blank.play("status")
    assert (status.code, status.verdict) == (0, "healthy"), status
    assert blank.writers() == ["node1"]


def test_the_director_answers_through_the_endpoint(cluster: Cluster) -> None:
    assert "row 1 of version" in director_answers(cluster.lab, cluster.secondary)


def test_the_secondary_has_the_same_files_and_the_same_catalog(cluster: Cluster) -> None:
    lab = cluster.lab
    digests = {lab.sh(node, "sha256sum /etc/bacula/bacula-dir.conf /etc/bacula/bconsole.conf") for node in NODES}
    assert len(digests) == 1
    statement = "CREATE TABLE scenario AS SELECT 42 AS answer; SELECT pg_current_wal_flush_lsn()"
    lsn = lab.sql(cluster.primary, statement, "bacula")
    waiting = f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"
    while lab.sql(cluster.secondary, waiting) != "t":
        pass
    assert lab.sql(cluster.secondary, "SELECT answer FROM scenario", "bacula") == "42"
    assert catalog(lab, "node1") == catalog(lab, "node2")
    lab.sql(cluster.primary, "DROP TABLE scenario", "bacula")


def test_assembling_again_changes_nothing(cluster: Cluster) -> None:
    with cluster.lab.unchanged():
        again = cluster.lab.play("assemble").check()
    assert again.changed == {"node1": 0, "node2": 0}, again


@pytest.mark.parametrize("time", ["first", "second"])
def test_a_switchover_exchanges_the_roles(cluster: Cluster, time: str) -> None:
    lab = cluster.lab
    lab.play("switchover").check()
    assert faults(lab) == []
    assert lab.writers() == [PEER[cluster.primary]], time
    status = lab.play("status")
    assert (status.code, status.verdict) == (0, "healthy"), status
    again = lab.play("assemble").check()
    assert again.changed == {"node1": 0, "node2": 0}, again


def test_a_rehearsal_of_a_switchover_changes_nothing(cluster: Cluster) -> None:
    with cluster.lab.unchanged():
        rehearsal = cluster.lab.play("switchover", "--check").check()
    assert f"{cluster.primary} hands the primary role to {cluster.secondary}" in rehearsal.said, rehearsal
