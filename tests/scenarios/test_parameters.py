"""A standby whose parameters are smaller than its primary's can't replay, start or be promoted, and that is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import NODES, UNIT, Lab, within

# After our own file, in alphabetical order.
FILE = "/etc/postgresql/15/main/conf.d/zz-scenario.conf"


@contextmanager
def connections(lab: Lab, *nodes: str, number: int) -> Iterator[None]:
    for node in nodes:
        lab.sh(node, f"echo 'max_connections = {number}' > {FILE}")
    try:
        yield
    finally:
        for node in nodes:
            lab.sh(node, f"rm -f {FILE}", check=False)


def reasons(lab: Lab) -> str:
    outcome = lab.play("status", "-e", "backup_ha_output=json")
    (found,) = outcome.document["clusters"]
    assert found["verdict"] == "degraded", found
    return " ".join([*found["reasons"], found["next"]])


def test_a_secondary_with_a_smaller_value_does_not_start(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.secondary
    with connections(lab, node, number=50):
        lab.sh(node, f"systemctl restart {UNIT}", check=False)
        said = reasons(lab)
    assert f"On {node} max_connections is 50 and the primary has, or had, 100" in said and "Raise" in said, said
    lab.sh(node, f"systemctl restart {UNIT}")
    cluster.settle(cluster.primary)


def test_a_primary_with_a_larger_value_stops_the_replay(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    words = f"On {new} max_connections is 100 and the primary has, or had, 200"
    with connections(lab, old, number=200):
        lab.sh(old, f"systemctl restart {UNIT}")
        within(30, lambda: lab.writers() == [old], "the primary has resumed")
        within(20, lambda: lab.sql(new, "SELECT pg_is_wal_replay_paused()") == "t", "the replay has paused")
        assert words in reasons(lab)
        outcome = lab.play("switchover")
        assert outcome.code != 0 and words in outcome.said and sum(outcome.changed.values()) == 0, outcome
        lab.power_off(old)
        failover = "backup-ha failover --yes --primary-is-off --max-loss-bytes 100000000 < /dev/null 2>&1"
        said = lab.sh(new, failover, check=False)
        assert words in said and lab.sql(new, "SELECT pg_is_in_recovery()") == "t", said
        with connections(lab, new, number=200):
            lab.sh(new, f"systemctl restart {UNIT}")
            lab.sh(new, failover)
            assert lab.writers([new]) == [new]
            lab.power_on(old)
            lab.play("rejoin").check()
            cluster.settle(new)
    # Every start is a standby's start, so a primary can't go back to less either.
    lab.sh(new, f"systemctl restart {UNIT}", check=False)
    outcome = lab.play("status")
    words = f"On {new} max_connections is 100 and the primary has, or had, 200"
    assert outcome.verdict == "failed" and words in outcome.said, outcome
    lab.reset(*NODES)
