"""With `required`, nothing is acknowledged without the secondary, and nothing of ours hangs on that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from measure.link import QUICK, LinkError, connect
from measure.writer import INSERT
from tests.scenarios.cluster import Cluster
from tests.scenarios.support import NODES, UNIT, Lab, within
from tests.scenarios.taking_over import DONE, HISTORY, failover, serves, sure
from tests.scenarios.test_agent import commits, is_protected, wait_until_protected
from tests.scenarios.watching import watch_over

MORE_THAN_CONNECTIONS = 130
REQUIRED = ("-e", "backup_ha_synchronous=required")


@pytest.fixture(scope="module", autouse=True)
def as_it_was(lab: Lab) -> Iterator[None]:
    """The other scenarios share the cluster."""
    yield
    lab.play("assemble").check()


@pytest.fixture
def required(cluster: Cluster) -> Cluster:
    """Commits wait for the secondary, always."""
    lab = cluster.lab
    if lab.sh(cluster.primary, 'grep -c \'"synchronous": "required"\' /etc/backup-ha/node.json', check=False) != "1":
        lab.play("assemble", *REQUIRED).check()
    wait_until_protected(lab, cluster.primary)
    return cluster


@pytest.mark.later
def test_blank_servers_are_assembled_with_it(lab: Lab) -> None:
    lab.reset(*NODES)
    lab.play("assemble", *REQUIRED).check()
    (primary,) = lab.writers()
    Cluster(lab, primary).settle(primary)
    wait_until_protected(lab, primary)
    assert commits(lab, primary)
    assert set(lab.play("assemble", *REQUIRED).check().changed.values()) == {0}


@pytest.mark.later
def test_commits_wait_for_ever_and_nothing_of_ours_does(required: Cluster) -> None:
    lab, primary, secondary = required.lab, required.primary, required.secondary
    lab.power_off(secondary)
    time.sleep(15)  # longer than `preferred` would wait
    assert not commits(lab, primary), "acknowledged without the secondary"
    assert is_protected(lab, primary), "and so the word is kept"
    for command in ("backup-ha status", "backup-ha failover --yes", "backup-ha resume"):
        lab.sh(primary, f"timeout 20 {command}")
    assert "it is the primary" in lab.sh(primary, "timeout 20 backup-ha rejoin 2>&1 || true")
    status = lab.play("status", timeout=60)
    assert status.verdict == "degraded" and f"wait until {secondary} is back" in status.said, status
    for operation in ("switchover", "rejoin", "assemble"):
        outcome = lab.play(operation, *(REQUIRED if operation == "assemble" else ()), timeout=90)
        assert outcome.code != 0 and ": refused." in outcome.said, outcome

    # It can't ask whether it may go on; on somebody's word it does, and commits wait on.
    lab.sh(primary, f"systemctl restart {UNIT}")
    assert lab.writers([primary]) == []
    assert "is primary" in lab.sh(primary, "timeout 30 backup-ha resume --alone")
    assert lab.has_endpoint(primary) and not commits(lab, primary)

    client = lab.spawn(primary, "cd /; runuser -u postgres -- psql -Xqc 'CREATE TABLE scenario_waits (n int)'")
    time.sleep(2)
    assert client.poll() is None, "a commit did not wait"
    lab.power_on(secondary)
    assert client.wait(60) == 0, "a commit that has waited is acknowledged when the secondary is back"
    required.settle(primary)
    wait_until_protected(lab, primary)
    lab.sql(primary, "DROP TABLE scenario_waits")


@pytest.mark.later
def test_clients_that_give_up_leave_the_connections_to_others(required: Cluster, tmp_path: Path) -> None:
    """PostgreSQL does not notice that a client is gone that waits for the secondary."""
    lab, primary = required.lab, required.primary
    access = watch_over(required, tmp_path).access
    lab.power_off(required.secondary)
    for number in range(MORE_THAN_CONNECTIONS):
        link = connect(access.conninfo(lab.endpoint), QUICK, 30)
        with suppress(LinkError):
            link.ask(INSERT, [b"given up", str(number).encode()], 0.15)
        link.close()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    within(15, lambda: lab.sql(primary, waiting) == "0", "their sessions have ended")
    lab.power_on(required.secondary)
    required.settle(primary)


@pytest.mark.later
def test_a_switchover_loses_nothing(required: Cluster, tmp_path: Path) -> None:
    lab, new = required.lab, required.secondary
    assert watch_over(required, tmp_path).over(lambda: lab.play("switchover").check(), new) == new
    wait_until_protected(lab, new)


def test_a_failover_loses_nothing_and_is_done_although_commits_wait(required: Cluster, tmp_path: Path) -> None:
    """By the on-node command, and back by the playbook, whose proof from outside does not hang."""
    lab, old, new = required.lab, required.primary, required.secondary

    def there() -> None:
        time.sleep(1.0)
        lab.power_off(old)
        answer = failover(lab, new, "--yes", "--primary-is-off")
        assert answer.code == DONE and f"What {old} acknowledged is on {new}" in answer.said, answer
        assert lab.accepts_writes(new) and lab.has_endpoint(new) and not commits(lab, new)
        assert lab.sql(new, HISTORY, "backup_ha").startswith(f"failover|{old}|{new}|done")
        lab.power_on(old)
        lab.play("rejoin").check()
        serves(lab, new)

    def and_back() -> None:
        time.sleep(1.0)
        lab.power_off(new)
        outcome = lab.play("failover", *sure(new), timeout=120).check()
        assert f"Commits wait until {new} is back" in outcome.said, outcome
        assert lab.accepts_writes(old) and lab.has_endpoint(old) and not commits(lab, old)
        lab.power_on(new)
        lab.play("rejoin").check()
        serves(lab, old)

    assert watch_over(required, tmp_path / "there").over(there, new) == new
    wait_until_protected(lab, new)
    other = Cluster(lab, new)
    assert watch_over(other, tmp_path / "back").over(and_back, old) == old
    wait_until_protected(lab, old)
    within(20, lambda: commits(lab, old), "commits are acknowledged")


@pytest.mark.later
def test_somebody_lets_it_go_on_without_the_secondary(required: Cluster) -> None:
    lab, primary = required.lab, required.primary
    lab.power_off(required.secondary)
    assert not commits(lab, primary)
    lab.sh(primary, 'sed -i \'s/"required"/"preferred"/\' /etc/backup-ha/node.json')
    within(40, lambda: commits(lab, primary), "the primary goes on alone")
    assert not is_protected(lab, primary), "the word was taken back before"
    lab.power_on(required.secondary)
    required.settle(primary)
