"""The secondary takes over from a primary that is gone, and from no other; what comes back never takes a write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import DATA, UNIT, Lab, within
from tests.scenarios.taking_over import DONE, HISTORY, failover, never_writes, refused, serves, sure, take_back
from tests.scenarios.watching import watch_over

pytestmark = pytest.mark.usefixtures("by_hand")


def test_refused_while_the_primary_answers(cluster: Cluster) -> None:
    lab = cluster.lab
    with lab.unchanged():
        for options in ((), ("--yes",), ("--yes", "--primary-is-off")):
            said = refused(lab, cluster.secondary, *options)
            assert f"PostgreSQL on {cluster.primary} answers {cluster.secondary} and accepts writes" in said
            assert "duet.backup_ha.switchover" in said
        outcome = lab.play("failover", *sure(cluster.primary))
    assert outcome.code != 0 and f"PostgreSQL on {cluster.primary} accepts writes" in outcome.said, outcome
    assert "only a secondary takes over" in failover(lab, cluster.primary).said
    assert "was the primary already" in failover(lab, cluster.primary, "--yes").said
    cluster.settle(cluster.primary)


@contextmanager
def parted(lab: Lab, primary: str, secondary: str) -> Iterator[None]:
    """The secondary sees nothing of the primary, not even who has the endpoint; everybody else does."""
    mac = lab.sh(secondary, "cat /sys/class/net/eth0/address")
    lab.cut_link()
    lab.sh(secondary, f"iptables -I OUTPUT -d {lab.endpoint} -j DROP")
    lab.sh(primary, f"arptables -I INPUT --source-mac {mac} -j DROP")
    try:
        yield
    finally:
        lab.sh(primary, "arptables -F")
        lab.mend_link()


def test_refused_while_only_the_control_node_reaches_the_primary(cluster: Cluster) -> None:
    lab = cluster.lab
    with parted(lab, cluster.primary, cluster.secondary):
        said = refused(lab, cluster.secondary, "--yes")
        assert f"{cluster.primary} is silent" in said and "--primary-is-off" in said and "backup_ha_fence" in said
        outcome = lab.play("failover", *sure(cluster.primary))
        assert outcome.code != 0, outcome
        assert f"PostgreSQL on {cluster.primary} accepts writes, as the control node sees over SSH" in outcome.said
        assert lab.writers() == [cluster.primary]
    cluster.settle(cluster.primary)


def test_refused_while_somebody_has_the_endpoint(cluster: Cluster) -> None:
    """The primary's PostgreSQL can't be reached from the secondary, but its address is there."""
    lab = cluster.lab
    lab.cut_link()
    try:
        said = refused(lab, cluster.secondary, "--yes", "--primary-is-off")
    finally:
        lab.mend_link()
    assert f"answers for the endpoint {lab.endpoint}" in said
    cluster.settle(cluster.primary)


@contextmanager
def rejected(lab: Lab, primary: str, secondary: str, answer: str) -> Iterator[None]:
    """The primary serves everybody but the secondary, whose connections its firewall rejects, and to whom it hides that
    it has the endpoint. Pings are answered."""
    rule = f"INPUT -s {lab.address(secondary)} -p tcp --dport 5432 -j REJECT --reject-with {answer}"
    lab.sh(primary, f"iptables -I {rule}; arptables -I INPUT -d {lab.endpoint} -j DROP")
    lab.sh(secondary, f"ip neigh flush to {lab.endpoint}")
    kill = "runuser -u postgres -- psql -XAtqc 'SELECT pg_terminate_backend(pid) FROM pg_stat_replication'"
    lab.sh(primary, f"cd /; {kill}")
    try:
        yield
    finally:
        lab.sh(primary, "iptables -F; arptables -F")


@pytest.mark.parametrize("answer", ["icmp-port-unreachable", "icmp-host-prohibited", "tcp-reset"])
def test_a_firewall_that_rejects_is_no_proof(cluster: Cluster, answer: str) -> None:
    lab, primary, secondary = cluster.lab, cluster.primary, cluster.secondary
    with rejected(lab, primary, secondary, answer):
        said = refused(lab, secondary, "--yes")
        assert f"{primary} is silent" in said and "--primary-is-off" in said, said
        assert "a firewall could do as well" in said or answer != "tcp-reset", said
        assert "answers ping" in refused(lab, secondary, "--yes", "--primary-is-off")
        assert lab.writers() == [primary]
    cluster.settle(primary)


def test_the_word_of_an_agent_that_is_stuck_is_not_believed(cluster: Cluster) -> None:
    """It said that PostgreSQL is down, and stands still since; the primary came back and is a writer again."""
    lab, primary, secondary = cluster.lab, cluster.primary, cluster.secondary
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 5"
    agent = "$(systemctl show -P MainPID backup-ha-agent.service)"
    lab.sh(primary, f"systemctl stop {UNIT}")
    within(10, lambda: lab.sql(secondary, held) == "1", "the agent says so")
    lab.sh(primary, f"kill -STOP {agent}; systemctl start {UNIT}")
    try:
        within(30, lambda: lab.accepts_writes(primary), "the primary has resumed")
        assert lab.sql(secondary, held) == "0", "whoever resumes ends the word"
        with rejected(lab, primary, secondary, "tcp-reset"):
            assert "is silent" in refused(lab, secondary, "--yes")
    finally:
        lab.sh(primary, f"kill -CONT {agent}", check=False)
    cluster.settle(primary)


def test_a_stopped_server_is_proof_and_nothing_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    """PostgreSQL is stopped on a server that lives: the secondary sees that, and has everything."""
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary

    def fail_over() -> None:
        lab.sh(old, f"systemctl stop {UNIT}")
        said = refused(lab, new)
        assert "says that no PostgreSQL runs there" in said and "backup-ha failover --yes" in said
        answer = failover(lab, new, "--yes", "--json")
        assert answer.code == DONE, answer
        assert answer.document["outcome"] == "done" and answer.document["finding"]["name"] == "proven_down"
        serves(lab, new)
        assert failover(lab, new, "--yes").code == DONE, "a second one only sees to it that all runs"
        lab.sh(old, f"systemctl start {UNIT}")

    watch_over(cluster, tmp_path).over(fail_over, primary=new)
    kind, before, after, outcome, who, why = lab.sql(new, HISTORY, "backup_ha").split("|")
    assert (kind, before, after, outcome, who) == ("failover", old, new, "done", "root")
    assert why.startswith("proven down:")


def test_a_dead_machine_needs_a_word_and_never_writes_again(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    lab.power_off(old)
    said = refused(lab, new, "--yes")
    assert "is silent" in said and "--primary-is-off" in said and "backup_ha_fence" in said
    time.sleep(11)  # by now it may have gone on without the secondary
    assert "can't be known" in refused(lab, new, "--primary-is-off")
    assert "Nothing may be lost" in refused(lab, new, "--yes", "--primary-is-off", "--max-loss-bytes 0")
    assert failover(lab, new, "--yes", "--primary-is-off").code == DONE
    serves(lab, new)
    assert "The operator's word" in lab.sql(new, HISTORY, "backup_ha")

    lab.power_on(old)
    never_writes(lab, old)
    skip = "pg_ctlcluster --skip-systemctl-redirect 15 main"
    bare = f"cd /; runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -D {DATA} -w"
    started = "-o '-c config_file=/etc/postgresql/15/main/postgresql.conf' -l /tmp/server.log start"
    lab.sh(old, f"systemctl stop {UNIT}")
    for start, stop in ((f"{skip} start", f"{skip} stop -m fast"), (f"{bare} {started}", f"{bare} -m fast stop")):
        lab.sh(old, start, check=False)
        never_writes(lab, old, 2)
        lab.sh(old, stop)
    again = "DEBIAN_FRONTEND=noninteractive apt-get install -y --reinstall postgresql-15"
    lab.sh(old, f"systemctl start {UNIT}; {again}", timeout=180)
    assert lab.writers() == [new]
    lab.sh(old, f"systemctl start {UNIT}")  # the package leaves it stopped when its general unit is not active
    never_writes(lab, old)
    take_back(lab, new, old)
    cluster.settle(new)


def test_a_primary_that_dies_silently_is_replaced(cluster: Cluster, tmp_path: Path) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary

    def fail_over() -> None:
        lab.cut_link()
        lab.power_off(old)
        assert failover(lab, new, "--yes", "--primary-is-off").code == DONE
        serves(lab, new)
        lab.sh(new, "iptables -F")
        lab.power_on(old)
        never_writes(lab, old)
        take_back(lab, new, old)

    watch_over(cluster, tmp_path).over(fail_over, primary=new, may_lose=True)


def test_the_playbook_shows_asks_takes_over_and_proves(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    confirmed, is_off = sure(old)[1], sure(old)[3]
    lab.power_off(old)
    with lab.unchanged(new):
        blind = lab.play("failover", "-e", confirmed)
        rehearsed = lab.play("failover", "--check", "-e", is_off)
        asked = lab.play("failover", "-e", is_off)
    assert blind.code != 0 and f"backup_ha_primary_is_off={old}" in blind.said, blind
    assert rehearsed.code == 0 and f"{old} is silent" in rehearsed.said, rehearsed
    assert asked.code != 0 and f"add -e backup_ha_failover_confirmed={old}" in asked.said, asked
    outcome = lab.play("failover", *sure(old)).check()
    assert f"{new} is the primary" in outcome.said and f"written through {lab.endpoint}" in outcome.said, outcome
    serves(lab, new)
    assert lab.play("failover", *sure(old)).check().changed[new] == 0
    lab.power_on(old)
    take_back(lab, new, old)
    cluster.settle(new)


@pytest.mark.later
def test_a_secondary_that_answers_late_takes_over(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    lab.power_off(old)
    lab.podman("pause", new)
    running = lab.start("failover", *sure(old))
    try:
        running.await_task("Check | look again where nobody answered in time")
    finally:
        lab.podman("unpause", new)
    outcome = running.wait().check()
    assert f"{new} is the primary" in outcome.said, outcome
    serves(lab, new)
    lab.power_on(old)
    take_back(lab, new, old)
    cluster.settle(new)


def test_a_playbook_that_is_killed_is_finished_by_the_next_run(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    lab.sh(old, f"systemctl stop {UNIT}")
    running = lab.start("failover", *sure(old))
    running.await_task("Take over")
    running.kill()
    outcome = lab.play("failover", *sure(old)).check()
    assert f"{new} is the primary" in outcome.said, outcome
    serves(lab, new)
    lab.sh(old, f"systemctl start {UNIT}")
    take_back(lab, new, old)
    cluster.settle(new)


def test_refused_beyond_the_bound_of_loss(cluster: Cluster) -> None:
    """The old primary's control file says how much the secondary misses."""
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    lab.cut_link()
    try:
        lab.sql(old, "CREATE TABLE scenario AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 3000)")
        lab.sh(old, f"systemctl stop {UNIT}")
        sure_and_less = (*sure(old), "-e", "backup_ha_max_loss_bytes=1000000")
        outcome = lab.play("failover", *sure_and_less)
        assert outcome.code != 0 and "1000000 may be lost" in outcome.said, outcome
        assert f"Of what {old} wrote, 3" in outcome.said and lab.writers([new]) == [], outcome
        rehearsed = lab.play("failover", "--check", *sure(old))
        assert rehearsed.code == 0 and "as the control node sees over SSH" in rehearsed.said, rehearsed
    finally:
        lab.mend_link()
        lab.sh(old, f"systemctl start {UNIT}")
    cluster.settle(old)
    lab.sql(old, "DROP TABLE scenario")
