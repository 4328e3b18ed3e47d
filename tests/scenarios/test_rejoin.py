"""A former primary comes back: what only it had is kept, it follows the new primary, and a kill in between heals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.scenarios.cluster import Cluster, catalog, postmaster_starts
from tests.scenarios.support import NODES, UNIT, Lab, within

FORKS = "/var/lib/backup-ha/forks"
MARK = "/var/lib/backup-ha/rewinding.json"
WALDUMP = "/usr/lib/postgresql/15/bin/pg_waldump"
# Three transactions that the other node never gets.
LOST = """
CREATE TABLE scenario_lost (n int);
INSERT INTO scenario_lost SELECT generate_series(1, 5);
UPDATE scenario_lost SET n = 7 WHERE n = 1;
"""
# On the new primary meanwhile: enough for pg_rewind to be busy for a moment.
GAINED = """
DROP TABLE IF EXISTS scenario_gained;
CREATE TABLE scenario_gained AS SELECT n, repeat(md5(n::text), 8) AS t FROM generate_series(1, 300000) AS n;
"""

pytestmark = pytest.mark.usefixtures("by_hand")


def fail_over(cluster: Cluster, forked: bool = True) -> None:
    """The secondary becomes primary on an administrator's word; the old primary is off, with or without a fork."""
    lab = cluster.lab
    lab.sql(cluster.primary, "DROP TABLE IF EXISTS scenario_lost", "bacula")
    in_step(cluster)
    if forked:
        lab.cut_link()
        lab.sql(cluster.primary, LOST, "bacula")
    lab.power_off(cluster.primary)
    lab.sh(cluster.secondary, "iptables -F")
    assert "is primary" in lab.sh(cluster.secondary, "backup-ha resume --alone")
    lab.sql(cluster.secondary, GAINED, "bacula")


def in_step(cluster: Cluster) -> None:
    query = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
    within(20, lambda: cluster.lab.sql(cluster.primary, query) == "1", "the secondary is in step")


def come_back(cluster: Cluster) -> None:
    lab = cluster.lab
    lab.power_on(cluster.primary)
    within(20, lambda: not lab.fails(cluster.primary, "cd /; runuser -u postgres -- psql -Xc 'SELECT 1'"), "an answer")


def forks(lab: Lab, node: str) -> list[str]:
    return lab.sh(node, f"ls {FORKS} 2>/dev/null || true").split()


def summary(lab: Lab, node: str, fork: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(lab.sh(node, f"cat {FORKS}/{fork}/summary.json"))
    return content


def follows(cluster: Cluster) -> None:
    """The old primary is the secondary, has the same data, and nothing of its own."""
    lab = cluster.lab
    cluster.settle(cluster.secondary)
    in_step(Cluster(lab, cluster.secondary))
    gained = {
        lab.sql(node, "SELECT md5(string_agg(t, '' ORDER BY n)) FROM scenario_gained", "bacula") for node in NODES
    }
    assert len(gained) == 1
    assert {lab.sql(node, "SELECT to_regclass('scenario_lost')", "bacula") for node in NODES} == {""}
    assert catalog(lab, cluster.primary) == catalog(lab, cluster.secondary)
    assert lab.fails(cluster.primary, f"test -e {MARK}")
    assert lab.sql(cluster.primary, "SELECT count(*) FROM pg_replication_slots") == "0"
    assert lab.play("status").check().verdict == "healthy"


def test_a_fork_is_kept_and_the_node_rewound(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.primary
    fail_over(cluster)
    come_back(cluster)
    before = forks(lab, node)

    status = lab.play("status")
    assert status.verdict == "degraded", status
    assert f"{node} has" in status.said and "duet.backup_ha.rejoin" in status.said, status
    assert "keep_fork, prepare_primary, stop, rewind, start" in lab.sh(node, "backup-ha rejoin --check")
    checked = lab.play("rejoin", "--check").check()
    assert "keep_fork, prepare_primary, stop, rewind, start" in checked.said, checked
    assert forks(lab, node) == before and lab.sql(node, "SELECT count(*) FROM scenario_lost", "bacula") == "5"

    done = lab.play("rejoin").check()
    assert "was copied anew" not in done.said, done
    follows(cluster)
    (fork,) = set(forks(lab, node)) - set(before)
    kept = summary(lab, node, fork)
    assert {"database": "bacula", "table": "public.scenario_lost", "inserted": 5, "updated": 1, "deleted": 0} in kept[
        "tables"
    ]
    assert fork in done.output
    again = f"{WALDUMP} --path={FORKS}/{fork}/wal --timeline={kept['timeline']} --start={kept['fork_lsn']}"
    commits = int(lab.sh(node, f"{again} 2>/dev/null | grep -c 'desc: COMMIT'", check=False))
    assert kept["commits"] == commits >= 3
    assert "scenario_lost: 5 inserted, 1 updated" in lab.sh(node, f"cat {FORKS}/{fork}/summary.txt")
    assert kept["segments"] and set(kept["segments"]) <= set(lab.sh(node, f"ls {FORKS}/{fork}/wal").split())

    starts = postmaster_starts(lab, node)
    assert set(lab.play("rejoin").check().changed.values()) == {0}
    assert "follows" in lab.sh(node, "backup-ha rejoin")
    assert postmaster_starts(lab, node) == starts


def test_a_node_without_a_fork_only_follows(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.primary
    fail_over(cluster, forked=False)
    come_back(cluster)
    before, starts = forks(lab, node), postmaster_starts(lab, node)
    assert "never reached" not in lab.sh(node, "backup-ha rejoin")
    follows(cluster)
    assert (forks(lab, node), postmaster_starts(lab, node)) == (before, starts)


def test_killed_in_the_middle_of_the_rewind_it_ends_with_a_fresh_copy(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.primary
    fail_over(cluster)
    come_back(cluster)
    before = forks(lab, node)
    ambush = lab.spawn(node, "until pgrep -x pg_rewind; do :; done; sleep 0.1; pkill -STOP -x pg_rewind")
    rejoin = lab.spawn(node, "backup-ha rejoin")
    assert ambush.wait(30) == 0, "pg_rewind was not caught"
    lab.sh(node, "pkill -KILL -f '^/usr/bin/python3 /usr/bin/backup-ha rejoin'")
    rejoin.wait(10)

    # Nobody gets in between what is still at work and the directory.
    assert "still works on this node's data" in lab.sh(node, "backup-ha rejoin 2>&1 || true")
    lab.sh(node, "pkill -KILL -x 'pg_rewind|runuser'; sleep 0.2")
    assert lab.fails(node, f"systemctl start {UNIT}"), "a half rewound server was started"
    assert lab.fails(node, "cd /; runuser -u postgres -- psql -Xc 'SELECT 1'")
    assert "A rewind was interrupted" in lab.sh(node, f"journalctl --boot --output cat --unit {UNIT}")
    status = lab.play("status")
    assert f"A rewind of {node} was interrupted" in status.said and "duet.backup_ha.rejoin" in status.said, status

    # Its PostgreSQL can't be asked, but it says itself that it has no usable copy, and the primary goes on.
    lab.sh(cluster.secondary, f"systemctl restart {UNIT}")
    within(20, lambda: lab.writers([cluster.secondary]) == [cluster.secondary], "the new primary has resumed")

    assert "copy, start" in lab.sh(node, "backup-ha rejoin --check")
    lab.sh(node, "backup-ha rejoin")
    follows(cluster)
    (fork,) = set(forks(lab, node)) - set(before)
    assert summary(lab, node, fork)["commits"] >= 3


def test_a_fork_that_can_not_be_kept_stays_where_it_is(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.primary
    fail_over(cluster)
    come_back(cluster)
    lab.fill_disk(node, FORKS)
    starts = postmaster_starts(lab, node)
    refused = lab.play("rejoin")
    assert refused.code != 0 and "Nothing was changed." in refused.said and "Make room" in refused.said, refused
    assert lab.sql(node, "SELECT count(*) FROM scenario_lost", "bacula") == "5"
    assert (postmaster_starts(lab, node), forks(lab, node)) == (starts, [])

    # The small file system is gone after a power cut; and a server that knows of both timelines does not start again.
    lab.power_off(node)
    lab.power_on(node)
    before = forks(lab, node)
    assert "was copied anew" not in lab.sh(node, "backup-ha rejoin")
    follows(cluster)
    assert len(set(forks(lab, node)) - set(before)) == 1


def test_the_primary_and_the_secondary_of_a_sound_cluster_stay_as_they_are(cluster: Cluster) -> None:
    lab = cluster.lab
    starts = [postmaster_starts(lab, node) for node in NODES]
    words = lab.sh(cluster.primary, "backup-ha rejoin 2>&1 && echo accepted || true")
    assert "it is the primary" in words and "Nothing was changed." in words and "accepted" not in words
    assert set(lab.play("rejoin").check().changed.values()) == {0}
    assert [postmaster_starts(lab, node) for node in NODES] == starts
    cluster.settle(cluster.primary)


def test_nobody_follows_a_node_that_does_not_answer(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.secondary
    lab.power_off(cluster.primary)
    words = lab.sh(node, "backup-ha rejoin 2>&1 && echo accepted || true")
    assert "The other node does not answer" in words and "accepted" not in words
    lab.power_on(cluster.primary)
    cluster.settle(cluster.primary)


def lose_wal(cluster: Cluster) -> None:
    """The secondary was away, and the primary has not kept the WAL that it needs."""
    lab, node = cluster.lab, cluster.secondary
    keep = "ALTER SYSTEM {} max_slot_wal_keep_size{}"
    lab.sh(node, f"systemctl stop {UNIT}")
    lab.sql(cluster.primary, keep.format("SET", " = '16MB'"))
    lab.sql(cluster.primary, "SELECT pg_reload_conf()")
    for _segment in range(6):
        lab.sql(cluster.primary, "SELECT pg_logical_emit_message(false, 'scenario', 'x'); SELECT pg_switch_wal()")
    lab.sql(cluster.primary, "CHECKPOINT")
    lost = "SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost'"
    within(10, lambda: lab.sql(cluster.primary, lost) == "1", "the slot has lost its WAL")
    lab.sql(cluster.primary, keep.format("RESET", ""))
    lab.sql(cluster.primary, "SELECT pg_reload_conf()")
    lab.sh(node, f"systemctl start {UNIT}")


def test_a_secondary_whose_wal_the_primary_has_not_kept_becomes_a_fresh_copy(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.secondary
    lose_wal(cluster)
    status = lab.play("status")
    assert status.verdict == "degraded" and "needs a fresh copy" in status.said, status
    assert "duet.backup_ha.rejoin" in status.said, status
    rejoined = lab.play("rejoin").check()
    assert f"{node}: was copied anew" in rejoined.said, rejoined
    cluster.settle(cluster.primary)
