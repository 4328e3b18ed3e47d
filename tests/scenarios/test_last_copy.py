"""Whatever the inventory says and whatever fails, an assembly never gives up the only copy of somebody's data."""

from __future__ import annotations

import pytest

from tests.scenarios.cluster import faults
from tests.scenarios.support import DATA, NODES, UNIT, Lab, within
from tests.scenarios.test_assembly_refused import identity, make_data, refused

# As they stay in an inventory.
WORDS = ("-e", "backup_ha_initial_primary=node2", "-e", "backup_ha_erase_secondary=node1")
DEEDS = "SELECT count(*) FROM deeds"


def sound(lab: Lab) -> None:
    within(30, lambda: not faults(lab), lambda: f"a sound cluster; {faults(lab)}")


@pytest.fixture(scope="module")
def replaced(lab: Lab) -> Lab:
    """node1 was assembled as the secondary, its old data erased by word; it became primary, and node2 is lost."""
    lab.reset(*NODES)
    make_data(lab, "node1")
    lab.play("assemble", *WORDS).check()
    assert lab.writers() == ["node2"]
    lab.play("switchover").check()
    lab.sql("node1", "CREATE DATABASE precious")
    lab.sql("node1", "CREATE TABLE deeds AS SELECT 1 AS number", "precious")
    lab.reset("node2")
    return lab


def test_the_words_of_the_first_time_do_not_erase_the_primary(replaced: Lab) -> None:
    was = identity(replaced, "node1")
    replaced.play("assemble", *WORDS).check()
    assert replaced.writers() == ["node1"]
    sound(replaced)
    assert {identity(replaced, node) for node in NODES} == {was}
    assert [replaced.sql(node, DEEDS, "precious") for node in NODES] == ["1", "1"]


@pytest.mark.later
def test_the_only_copy_that_waits_is_not_erased(replaced: Lab) -> None:
    """It was primary and restarted; it can't know that the other machine will never answer again."""
    was = identity(replaced, "node1")
    replaced.reset("node2")
    replaced.sh("node1", f"systemctl restart {UNIT}")
    within(20, lambda: replaced.sql("node1", "SELECT pg_is_in_recovery()") == "t", "a read-only node1")
    for options in ((), WORDS):
        refused(replaced, "node1 holds the cluster's data and is read-only", "resume --alone on node1", options=options)
    assert (identity(replaced, "node1"), replaced.sql("node1", DEEDS, "precious")) == (was, "1")
    replaced.sh("node1", "backup-ha resume --alone")
    replaced.play("assemble", *WORDS).check()
    sound(replaced)
    assert [replaced.sql(node, DEEDS, "precious") for node in NODES] == ["1", "1"]


@pytest.mark.later
def test_a_database_in_a_tablespace_is_data(lab: Lab) -> None:
    lab.reset(*NODES)
    lab.sh("node1", "pg_createcluster 15 main --start")
    lab.sh("node2", "pg_createcluster 15 main --start; install -d -o postgres -g postgres /srv/fast")
    for statement in ("CREATE TABLESPACE fast LOCATION '/srv/fast'", "CREATE DATABASE precious TABLESPACE fast"):
        lab.sql("node2", statement)
    lab.sql("node2", "CREATE TABLE deeds AS SELECT 1 AS number", "precious")
    assert lab.sh("node2", f"ls {DATA}/base") == "1\n4\n5"
    first = ("-e", "backup_ha_initial_primary=node1")
    refused(lab, "node2 holds the databases", options=first)
    refused(lab, "node2 has tablespaces (fast)", options=(*first, "-e", "backup_ha_erase_secondary=node2"))
    refused(lab, "node2 has tablespaces (fast)")
    assert lab.sql("node2", DEEDS, "precious") == "1"


@pytest.mark.later
def test_a_live_server_serves_on_when_nobody_can_copy_it(lab: Lab) -> None:
    """Its restarts are a plain server's, too, and the next run makes up for it."""
    lab.reset(*NODES)
    was = make_data(lab, "node1")
    lab.sh("node1", f"iptables -I INPUT -s {lab.address('node2')} -p tcp --dport 5432 -j REJECT")
    outcome = lab.play("assemble")
    assert outcome.code != 0 and "Assemble of duet: failed." in outcome.said, outcome
    assert "node2 has not begun to copy node1" in outcome.said, outcome
    marks = f"/etc/backup-ha/node.json /var/lib/backup-ha/primary.json {DATA}/standby.signal"
    assert lab.sh("node1", f"ls {marks}", check=False) == ""
    lab.sh("node1", f"systemctl restart {UNIT}")
    within(20, lambda: lab.accepts_writes("node1"), "a writer after a restart")
    lab.sh("node1", "iptables -F")
    # As a copy leaves them that was interrupted.
    lab.sh("node2", f"mkdir {DATA}.incoming {DATA}.outgoing")
    lab.play("assemble").check()
    sound(lab)
    assert lab.sh("node2", f"ls -d {DATA}*") == DATA
    assert {identity(lab, node) for node in NODES} == {was}
    assert [lab.sql(node, DEEDS, "precious") for node in NODES] == ["1", "1"]
