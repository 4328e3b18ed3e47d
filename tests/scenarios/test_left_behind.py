"""A former primary with a fork is not promoted from it: by no switchover, and by no failover when all else is gone."""

from __future__ import annotations

import time

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import UNIT, within
from tests.scenarios.taking_over import refused, sure
from tests.scenarios.test_rejoin import come_back, forks, in_step

MANY = 3000
# The fork has one WAL segment for itself and the point where the two part: only then its owner streams up to there.
LARGE = f"CREATE TABLE scenario_large AS SELECT n, repeat(md5(n::text), 30) AS t FROM generate_series(1, {MANY}) AS n"
SINCE = f"CREATE TABLE scenario_since AS SELECT n FROM generate_series(1, {MANY}) AS n"
COUNT = "SELECT count(*) FROM scenario_since"
GONE = "DROP TABLE IF EXISTS scenario_since, scenario_large, scenario_lost, scenario_gained"

pytestmark = pytest.mark.usefixtures("by_hand")


def leave_behind(cluster: Cluster) -> None:
    """The old primary comes back with a fork that ends beyond all that the new one writes, and nobody rejoins it."""
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    lab.sql(old, "SELECT pg_switch_wal()")
    lab.sql(old, "SELECT pg_logical_emit_message(false, 'scenario', 'x')")
    in_step(cluster)
    lab.cut_link()
    lab.sql(old, LARGE, "bacula")
    lab.power_off(old)
    lab.sh(new, "iptables -F")
    assert "is primary" in lab.sh(new, "backup-ha resume --alone")
    lab.sql(new, SINCE, "bacula")
    come_back(cluster)
    histories = "ls /var/lib/postgresql/15/main/pg_wal/*.history"
    newest = lab.sh(new, histories).splitlines()[-1]
    within(40, lambda: newest in lab.sh(old, histories, check=False), "the old primary has heard of the new timeline")
    within(40, lambda: lab.fails(old, "test -e /var/lib/backup-ha/primary.json"), "the old primary follows")


def rejoin(cluster: Cluster) -> None:
    lab = cluster.lab
    lab.play("rejoin").check()
    cluster.settle()
    (primary,) = lab.writers()
    lab.sql(primary, GONE, "bacula")


STREAMS = """
import time, psycopg
deadline, query = time.monotonic() + 20, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
with psycopg.connect("host=/var/run/postgresql dbname=postgres", autocommit=True) as link:
    while not link.execute(query).fetchone()[0]:
        assert time.monotonic() < deadline
"""


def await_stream(cluster: Cluster) -> None:
    """It lasts for milliseconds."""
    script = f"cd /; runuser -u postgres -- python3 - <<'PYTHON'\n{STREAMS}PYTHON"
    cluster.lab.sh(cluster.primary, script)


@pytest.mark.later
def test_no_switchover_to_a_fork_whatever_it_streams_at_the_moment(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    leave_behind(cluster)
    for _moment in range(3):
        await_stream(cluster)
        outcome = lab.play("switchover", "--check")
        assert outcome.code != 0 and "never got" in outcome.said and "duet.backup_ha.rejoin" in outcome.said, outcome
    outcome = lab.play("switchover")
    assert outcome.code != 0, outcome
    assert lab.writers() == [new]

    # As an interrupted switchover leaves it: nothing is asked about what streams.
    lab.sh(new, f"systemctl stop {UNIT}")
    outcome = lab.play("switchover")
    assert outcome.code != 0 and "never got" in outcome.said, outcome
    assert lab.writers([old]) == []
    lab.sh(new, f"systemctl start {UNIT}")
    within(30, lambda: lab.writers() == [new], "the new primary has resumed")
    assert lab.sql(new, COUNT, "bacula") == str(MANY)
    rejoin(cluster)


@pytest.mark.later
def test_no_failover_to_a_fork_when_the_other_node_is_gone(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    leave_behind(cluster)
    lab.power_off(new)
    for _start in range(2):
        said = refused(lab, old, "--yes", "--primary-is-off", "--max-loss-bytes 99999999999")
        assert f"{old} was left behind" in said and "backup-ha resume --alone" in said, said
        outcome = lab.play("failover", *sure(new))
        assert outcome.code != 0 and f"{old} was left behind" in outcome.said, outcome
        status = lab.play("status")
        assert f"{old} was left behind" in status.said and f"Bring {new} back" in status.said, status
        lab.sh(old, f"systemctl restart {UNIT}")
        within(20, lambda: not lab.fails(old, "cd /; runuser -u postgres -- psql -Xc 'SELECT 1'"), "an answer")
    assert lab.writers([old]) == []
    lab.power_on(new)
    within(60, lambda: lab.writers() == [new], "the new primary has resumed")
    assert lab.sql(new, COUNT, "bacula") == str(MANY)
    rejoin(cluster)
    assert not lab.observe(old)["postgresql"]["outvoted"]


@pytest.mark.later
def test_whoever_is_lost_for_good_is_given_up_by_a_word_and_kept_as_a_fork(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    leave_behind(cluster)
    timeline = int(lab.observe(new)["postgresql"]["timeline"])
    lab.power_off(new)
    lab.sh(old, f"systemctl restart {UNIT}")
    within(20, lambda: not lab.fails(old, "cd /; runuser -u postgres -- psql -Xc 'SELECT 1'"), "an answer")
    assert "is primary" in lab.sh(old, "backup-ha resume --alone")
    assert int(lab.observe(old)["postgresql"]["timeline"]) > timeline, "a number was used twice"
    assert not lab.observe(old)["postgresql"]["outvoted"]
    lab.power_on(new)
    time.sleep(5)
    assert lab.writers() == [old]
    before = forks(lab, new)
    rejoin(cluster)
    assert len(set(forks(lab, new)) - set(before)) == 1
