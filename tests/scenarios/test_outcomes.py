"""How a switchover ended is one word that a program can read, whatever happened; AWX reads the same statistics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.scenarios.cluster import DIRECTOR, Cluster, postmaster_starts
from tests.scenarios.playbook import Outcome
from tests.scenarios.support import Lab, within

CHECKPOINTER = "pgrep -f 'postgres: 15/main: checkpointer'"


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playbooks print their statistics."""
    monkeypatch.setenv("ANSIBLE_SHOW_CUSTOM_STATS", "1")
    monkeypatch.setenv("ANSIBLE_CALLBACK_RESULT_FORMAT", "json")


def ended(cluster: Cluster, outcome: Outcome, word: str, **roles: str | None) -> dict[str, Any]:
    """The playbook ended so; return what it said to programs."""
    (found,) = outcome.stats.values()
    assert found["operation"] == "switchover" and found["outcome"] == word, (found, str(outcome))
    assert (outcome.code == 0) == (word in ("done", "planned")), outcome
    assert bool(found["reasons"]) == (outcome.code != 0), found
    assert f"Switchover of {next(iter(outcome.stats))}: {word}." in outcome.said, outcome
    wanted = {"primary": cluster.primary, "secondary": cluster.secondary, **roles}
    assert {role: found[role] for role in wanted} == wanted, found
    return dict(found)


def exchanged(cluster: Cluster) -> dict[str, str | None]:
    return {"primary": cluster.secondary, "secondary": cluster.primary}


def step(lab: Lab, node: str) -> str:
    """What a node does at the moment, by its record of the operation."""
    record = lab.sh(node, "cat /var/lib/backup-ha/operation.json", check=False)
    return str(json.loads(record)["step"]) if record else ""


@contextmanager
def frozen(lab: Lab, node: str, find: str) -> Iterator[None]:
    """A process is stopped meanwhile, by the command that finds it."""
    pid = lab.sh(node, find)
    lab.sh(node, f"kill -STOP {pid}")
    try:
        yield
    finally:
        lab.sh(node, f"kill -CONT {pid}", check=False)


def test_done_although_it_is_slow_and_in_progress_meanwhile(cluster: Cluster) -> None:
    """The checkpointer stands still for a while, as on a disk that is busy."""
    lab = cluster.lab
    with frozen(lab, cluster.primary, CHECKPOINTER):
        running = lab.start("switchover")
        within(60, lambda: step(lab, cluster.primary) == "checkpoint", "the checkpoints before the stop have begun")
        second = lab.play("switchover")
        (found,) = second.stats.values()
        assert found["outcome"] == "in_progress" and "is still running" in found["reasons"][0], found
    outcome = running.wait()
    said = ended(cluster, outcome, "done", **exchanged(cluster))
    assert "its checkpoint not known yet" in outcome.said, outcome
    took = said["took"]
    assert took["checkpoints_s"] > 1 > took["without_writer_s"] > took["stop_s"] > 0, said
    assert "The stop took 0." in outcome.said and "(forecast: 0." in outcome.said, outcome
    cluster.settle(cluster.secondary)


@contextmanager
def foreign_stream(lab: Lab, node: str) -> Iterator[str]:
    """pg_receivewal, which the server would wait for without a bound; yields how to find it."""
    find = "pgrep -x pg_receivewal"
    where = "dbname=postgres application_name=foreign options='-c wal_sender_timeout=0'"
    receive = f'/usr/lib/postgresql/15/bin/pg_receivewal --no-loop -D /tmp/foreign -d "{where}"'
    script = f"cd /; mkdir -p /tmp/foreign; chown postgres /tmp/foreign; exec runuser -u postgres -- {receive}"
    client = lab.spawn(node, script)
    try:
        seen = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'foreign' AND state = 'streaming'"
        within(10, lambda: lab.sql(node, seen) == "1", "the foreign stream")
        yield find
    finally:
        lab.sh(node, "pkill -KILL -x pg_receivewal; rm -rf /tmp/foreign", check=False)
        client.wait(20)


def test_refused_for_a_stream_that_is_frozen_and_done_when_it_may_be_ended(cluster: Cluster) -> None:
    lab = cluster.lab
    with foreign_stream(lab, cluster.primary) as find, frozen(lab, cluster.primary, find):
        with lab.unchanged():
            refused = lab.play("switchover")
        said = ended(cluster, refused, "refused")
        assert "foreign" in said["reasons"][0] and "backup_ha_on_foreign_streamers: end" in said["reasons"][0], said
        outcome = lab.play("switchover", "-e", "backup_ha_on_foreign_streamers=end")
        said = ended(cluster, outcome, "done", **exchanged(cluster))
        assert "will be ended just before: foreign" in outcome.said, outcome
        assert said["took"]["stop_s"] < 2, said
    cluster.settle(cluster.secondary)


def test_rolled_back_when_the_deadline_leaves_no_time_for_the_stop(cluster: Cluster) -> None:
    lab = cluster.lab
    starts = postmaster_starts(lab, cluster.primary)
    director = lab.sh(cluster.primary, f"systemctl show -P MainPID {DIRECTOR}")
    with frozen(lab, cluster.primary, CHECKPOINTER):
        outcome = lab.play("switchover", "-e", "backup_ha_switchover_deadline=10")
        said = ended(cluster, outcome, "rolled_back")
        assert cluster.settle() == cluster.primary
    assert "The checkpoint 1 of 2 before the stop" in said["reasons"][0], said
    assert "backup_ha_switchover_deadline" in said["reasons"][0], said
    assert outcome.seconds < 20, outcome
    assert postmaster_starts(lab, cluster.primary) == starts, "the primary has been restarted"
    assert lab.sh(cluster.primary, f"systemctl show -P MainPID {DIRECTOR}") == director, "the Director was restarted"


def test_in_doubt_when_the_new_primary_is_not_reached_from_outside(cluster: Cluster) -> None:
    lab = cluster.lab
    rule = f"INPUT -d {lab.endpoint} -p tcp --dport 5432 -j REJECT"
    lab.sh(cluster.secondary, f"iptables -I {rule}")
    try:
        ended(cluster, lab.play("switchover"), "in_doubt", primary=None, secondary=None)
    finally:
        lab.sh(cluster.secondary, f"iptables -D {rule}")
    cluster.settle(cluster.secondary)


def test_failed_before_anything_of_the_roles_was_touched(cluster: Cluster) -> None:
    lab = cluster.lab
    lab.sql(cluster.primary, "ALTER TABLE backup_ha.file RENAME TO away", "backup_ha")
    try:
        said = ended(cluster, lab.play("switchover"), "failed")
        assert "relation" in said["reasons"][0], said
    finally:
        lab.sql(cluster.primary, "ALTER TABLE backup_ha.away RENAME TO file", "backup_ha")
    assert cluster.settle() == cluster.primary
