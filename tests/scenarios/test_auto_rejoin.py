"""A former primary is the secondary again without anybody's help, and what can't be done is left to somebody."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.scenarios.cluster import Cluster, allow_rejoin, postmaster_starts
from tests.scenarios.support import NODES, Lab, within
from tests.scenarios.taking_over import HISTORY, answers_session
from tests.scenarios.test_rejoin import FORKS, MARK, come_back, fail_over, follows, forks, summary

BACK_S = 60.0
REJOIN_UNIT = "backup-ha-rejoin.service"
RECORD = "/var/lib/backup-ha/rejoin.json"
STOPPED = "until pgrep -x pg_rewind; do :; done; sleep 0.1; pkill -STOP -x pg_rewind"


def record(lab: Lab, node: str) -> dict[str, Any]:
    """The account that a node keeps of its attempts."""
    found: dict[str, Any] = json.loads(lab.sh(node, f"cat {RECORD} 2>/dev/null || echo '{{}}'"))
    return found


def hours_later(lab: Lab, node: str) -> None:
    """As if the last attempt had been two hours ago."""
    change = f"import json; p = '{RECORD}'; r = json.load(open(p)); r['at'] -= 7200; json.dump(r, open(p, 'w'))"
    lab.sh(node, f'python3 -c "{change}"')


def is_back(cluster: Cluster) -> bool:
    """The former primary streams on the new primary's timeline."""
    lab = cluster.lab
    query = "SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'"
    follows = lab.sh(cluster.primary, f'cd /; runuser -u postgres -- psql -XqAtc "{query}" 2>&1', check=False)
    timeline = lab.sql(cluster.secondary, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
    return follows == str(int(timeline, 16))


def await_back(cluster: Cluster, seconds: float = BACK_S) -> None:
    lab, node = cluster.lab, cluster.primary

    def why() -> str:
        said = lab.sh(node, f"journalctl --boot --output cat -u {REJOIN_UNIT} -u backup-ha-agent | tail -n 20")
        return f"{node} is back by itself; {record(lab, node)}; {said}"

    within(seconds, lambda: is_back(cluster), why)


def await_failure(lab: Lab, node: str, attempt: int) -> None:
    def has_failed() -> bool:
        found = record(lab, node)
        return (found.get("attempts"), found.get("outcome")) == (attempt, "failed")

    within(30, has_failed, lambda: f"attempt {attempt} has failed: {record(lab, node)}")


@contextmanager
def caught_rewinding(lab: Lab, node: str) -> Iterator[None]:
    """pg_rewind stands still in its middle, and goes on afterwards if it is still there."""
    ambush = lab.spawn(node, STOPPED)
    try:
        assert ambush.wait(BACK_S) == 0, "pg_rewind was not caught"
        yield
    finally:
        ambush.kill()
        # Whoever waits for it stands still with it.
        lab.sh(node, "pkill -CONT -x 'pg_rewind|runuser'", check=False)


def test_a_former_primary_is_the_secondary_by_itself_and_its_fork_is_kept(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.primary
    before = forks(lab, node)
    fail_over(cluster)
    lab.power_on(node)
    await_back(cluster)
    follows(cluster)
    (fork,) = set(forks(lab, node)) - set(before)
    tables = summary(lab, node, fork)["tables"]
    assert {"database": "bacula", "table": "public.scenario_lost", "inserted": 5, "updated": 1, "deleted": 0} in tables
    kind, left, followed, outcome, who, _why = lab.sql(cluster.secondary, HISTORY, "backup_ha").split("|")
    assert (kind, left, followed, outcome, who) == ("rejoin", node, cluster.secondary, "done", f"{node} itself")
    starts = postmaster_starts(lab, node)
    assert set(lab.play("rejoin").check().changed.values()) == {0}
    assert postmaster_starts(lab, node) == starts


@pytest.mark.later
def test_whoever_follows_for_long_has_nothing_to_remember(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.primary
    fail_over(cluster)
    lab.power_on(node)
    await_back(cluster)
    within(90, lambda: not record(lab, node), "the account is gone")


@pytest.mark.later
def test_status_says_so_and_the_playbook_waits(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.primary
    fail_over(cluster)
    lab.power_on(node)
    with caught_rewinding(lab, node):
        status = lab.play("status")
        assert status.verdict == "degraded" and f"{node} is rejoining by itself: it began to rewind" in status.said
        assert f"Wait a moment: {node} is rejoining by itself." in status.said, status
        assert "is rejoining" in lab.sh(node, "backup-ha status")
        assert "is still running" in lab.sh(node, "backup-ha rejoin 2>&1 || true")
        playbook = lab.start("rejoin")
        playbook.await_task("Begin the operation on the first node")
        time.sleep(2)
    assert set(playbook.wait(120).check().changed.values()) == {0}
    follows(cluster)


@pytest.mark.later
@pytest.mark.parametrize("how", ["power cut", "killed"])
def test_interrupted_in_the_middle_of_the_rewind_it_goes_on(cluster: Cluster, how: str) -> None:
    lab, node = cluster.lab, cluster.primary
    before = forks(lab, node)
    fail_over(cluster)
    lab.power_on(node)
    with caught_rewinding(lab, node):
        if how == "power cut":
            lab.power_off(node)
            lab.power_on(node)
        else:
            lab.sh(node, f"systemctl kill -s KILL {REJOIN_UNIT}")
    if how == "killed":
        time.sleep(5)
        assert not lab.fails(node, f"test -e {MARK}") and not answers_session(lab, node)
        assert record(lab, node)["attempts"] == 1, "it does not go on at once: whatever kills it might do so again"
        assert "Wait a moment" in lab.play("status").said
        hours_later(lab, node)
    await_back(cluster)
    follows(cluster)
    assert len(set(forks(lab, node)) - set(before)) == 1


@pytest.mark.later
def test_a_primary_that_is_not_there_is_waited_for_and_no_failure(cluster: Cluster) -> None:
    lab, node, new = cluster.lab, cluster.primary, cluster.secondary
    fail_over(cluster)
    lab.power_off(new)
    lab.power_on(node)
    within(30, lambda: answers_session(lab, node), "an answer")
    time.sleep(5)
    assert not record(lab, node) and not lab.accepts_writes(node)
    lab.power_on(new)
    with caught_rewinding(lab, node):
        lab.power_off(new)
    within(60, lambda: record(lab, node).get("outcome") == "silent", "the attempt has ended")
    assert record(lab, node)["attempts"] == 0, "the primary's loss counts as this node's failure"
    lab.power_on(new)
    within(60, lambda: lab.writers() == [new], "the new primary has resumed")
    await_back(cluster)
    follows(cluster)


@pytest.mark.later
def test_where_it_is_not_wanted_somebody_has_to_do_it(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.primary
    assembled = lab.play("assemble", "-e", '{"backup_ha_auto_rejoin": false}').check()
    try:
        fail_over(cluster)
        come_back(cluster)
        time.sleep(10)
        assert not is_back(cluster) and not record(lab, node), assembled
        status = lab.play("status")
        assert "never got" in status.said and "Wait a moment" not in status.said, status
        assert "ansible-playbook duet.backup_ha.rejoin" in status.said, status
        lab.play("rejoin").check()
        follows(cluster)
    finally:
        lab.play("assemble").check()


@pytest.mark.later
def test_attempts_that_fail_become_rarer_and_end_with_a_notice(cluster: Cluster) -> None:
    """There is no room to keep the fork."""
    lab, node = cluster.lab, cluster.primary
    allow_rejoin(lab, False)
    fail_over(cluster)
    come_back(cluster)
    lab.fill_disk(node, FORKS)
    starts = postmaster_starts(lab, node)
    allow_rejoin(lab, True)
    for attempt in range(1, 6):
        await_failure(lab, node, attempt)
        time.sleep(3)
        assert record(lab, node)["attempts"] == attempt, "it did not wait"
        status = lab.play("status")
        assert f"{node} could not rejoin by itself, in {attempt} of 5 attempts" in status.said, status
        assert "Make room there" in status.said and "Wait a moment" not in status.said, status
        assert "ansible-playbook duet.backup_ha.rejoin" in status.said, status
        hours_later(lab, node)
    # Neither hours nor a restart of the agent bring another one; the machine's would empty the disk again.
    lab.sh(node, "systemctl restart backup-ha-agent")
    time.sleep(8)
    assert record(lab, node)["attempts"] == 5
    said = lab.sh(node, f"journalctl --boot --output cat --unit {REJOIN_UNIT}")
    assert "The next attempt is in 60 min." in said and "It is tried no more." in said, said
    assert "By hand, on this node: backup-ha rejoin" in said
    assert "It is tried no more." in lab.play("status").said
    assert lab.sql(node, "SELECT count(*) FROM scenario_lost", "bacula") == "5", "what only it has is gone"
    assert (postmaster_starts(lab, node), forks(lab, node)) == (starts, [])

    lab.free_disk(node, FORKS)
    lab.play("rejoin").check()
    follows(cluster)


def test_a_secondary_that_was_away_for_too_long_becomes_a_fresh_copy(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.secondary
    keep = "ALTER SYSTEM {} max_slot_wal_keep_size{}"
    lab.power_off(node)
    lab.sql(cluster.primary, keep.format("SET", " = '16MB'"))
    lab.sql(cluster.primary, "SELECT pg_reload_conf()")
    for _segment in range(6):
        lab.sql(cluster.primary, "SELECT pg_logical_emit_message(false, 'scenario', 'x'); SELECT pg_switch_wal()")
    lab.sql(cluster.primary, "CHECKPOINT")
    lost = "SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost'"
    within(10, lambda: lab.sql(cluster.primary, lost) == "1", "the slot has lost its WAL")
    lab.sql(cluster.primary, keep.format("RESET", ""))
    lab.sql(cluster.primary, "SELECT pg_reload_conf()")
    lab.power_on(node)
    await_back(Cluster(lab, node))
    cluster.settle(cluster.primary)
    assert "was copied anew" in lab.sh(node, f"journalctl --boot --output cat --unit {REJOIN_UNIT}")
    assert lab.play("status").check().verdict == "healthy"


def test_of_two_that_were_both_promoted_nobody_is_rewound_without_a_word(cluster: Cluster) -> None:
    """Each has data from a time as primary, and which one is the better one only somebody knows."""
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    fail_over(cluster)
    lab.power_off(new)
    lab.power_on(old)
    within(30, lambda: answers_session(lab, old), "an answer")
    assert "is primary" in lab.sh(old, "backup-ha resume --alone")
    lab.power_on(new)
    within(30, lambda: record(lab, new).get("outcome") == "declined", lambda: f"it declines: {record(lab, new)}")
    time.sleep(5)
    assert lab.writers() == [old]
    assert lab.sql(new, "SELECT count(*) FROM scenario_gained", "bacula") == "300000", "what only it has is gone"
    status = lab.play("status")
    assert f"{new} does not rejoin by itself" in status.said and "duet.backup_ha.rejoin" in status.said, status
    assert "Wait a moment" not in status.said, status
    lab.sh(new, f"systemctl start {REJOIN_UNIT}")
    assert lab.sql(new, "SELECT count(*) FROM scenario_gained", "bacula") == "300000", "the unit gave the word"
    lab.play("rejoin").check()
    cluster.settle(old)
    lab.sql(old, "DROP TABLE IF EXISTS scenario_lost", "bacula")


@pytest.fixture(autouse=True)
def by_itself(cluster: Cluster) -> None:
    """Whatever an earlier scenario has left, nodes rejoin by themselves and remember no attempts."""
    for node in NODES:
        cluster.lab.sh(node, f"rm -f {RECORD}")
    allow_rejoin(cluster.lab, True)
