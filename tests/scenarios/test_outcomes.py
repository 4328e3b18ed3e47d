"""How a switchover ended is one word that a program can read, whatever happened; AWX reads the same statistics."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.scenarios.cluster import DIRECTOR, Cluster, postmaster_starts
from tests.scenarios.playbook import Outcome
from tests.scenarios.support import Lab, within

CLUSTER = "duet"  # as the lab's inventory names it
MINUTE_S = 60.0
CHECKPOINTER = "pgrep -f 'postgres: 15/main: checkpointer'"


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playbooks print their statistics."""
    monkeypatch.setenv("ANSIBLE_SHOW_CUSTOM_STATS", "1")
    monkeypatch.setenv("ANSIBLE_CALLBACK_RESULT_FORMAT", "json")


def ended(cluster: Cluster, outcome: Outcome, word: str, **roles: str | None) -> dict[str, Any]:
    """The playbook ended so; return what it said to programs."""
    found = outcome.stats[CLUSTER]
    assert found["operation"] == "switchover" and found["outcome"] == word, (found, str(outcome))
    assert (outcome.code == 0) == (word in ("done", "planned")), outcome
    assert bool(found["reasons"]) == (outcome.code != 0), found
    assert f"Switchover of {CLUSTER}: {word}." in outcome.said, outcome
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


@pytest.mark.later
def test_done_although_its_checkpoint_takes_a_minute_and_in_progress_meanwhile(cluster: Cluster) -> None:
    """The checkpointer stands still, as on a disk that is busy; writers don't wait for it."""
    lab = cluster.lab
    with frozen(lab, cluster.primary, CHECKPOINTER):
        running = lab.start("switchover")
        within(60, lambda: step(lab, cluster.primary) == "checkpoint", "the checkpoints before the stop have begun")
        began = time.monotonic()
        second = lab.play("switchover")
        found = second.stats[CLUSTER]
        assert found["outcome"] == "in_progress" and "is still running" in found["reasons"][0], found
        time.sleep(max(0.0, MINUTE_S - (time.monotonic() - began)))
        assert lab.accepts_writes(cluster.primary)
    outcome = running.wait()
    said = ended(cluster, outcome, "done", **exchanged(cluster))
    assert "its checkpoint not known yet" in outcome.said, outcome
    took = said["took"]
    assert took["checkpoints_s"] > MINUTE_S > took["without_writer_s"] > took["stop_s"] > 0, said
    assert re.search(r"The stop took \d.*\(forecast: \d", outcome.said), outcome
    cluster.settle(cluster.secondary)


DEAF = "/run/systemd/system/bacula-director.service.d/deaf.conf"
MUTE = "/run/systemd/system/bacula-director.service.d/mute.conf"


@pytest.mark.later
def test_done_although_the_director_does_not_stop(cluster: Cluster) -> None:
    """It ignores the signal for its end; systemd ends it, and only then the database is taken from it."""
    lab, old = cluster.lab, cluster.primary
    lab.sh(old, f"mkdir -p {DEAF.rpartition('/')[0]}; printf '[Service]\\nKillSignal=SIGWINCH\\n' > {DEAF}")
    lab.sh(old, "systemctl daemon-reload")
    director = lab.sh(old, f"systemctl show -P MainPID {DIRECTOR}")
    said = ended(cluster, lab.play("switchover"), "done", **exchanged(cluster))
    assert said["took"]["workload_s"] > said["took"]["without_writer_s"], said
    assert lab.fails(old, f"kill -0 {director}")
    lab.sh(old, f"rm {DEAF}; systemctl daemon-reload")
    cluster.settle(cluster.secondary)


@contextmanager
def foreign_stream(lab: Lab, node: str) -> Iterator[str]:
    """pg_receivewal, which the server would wait for without a bound; yields how to find it."""
    find = "pgrep -n -x pg_receivewal"
    who = "setpriv --reuid=postgres --regid=postgres --clear-groups"  # runuser would stop together with it
    where = "dbname=postgres application_name=foreign options='-c wal_sender_timeout=0'"
    receive = f'/usr/lib/postgresql/15/bin/pg_receivewal --no-loop -D /tmp/foreign -d "{where}"'
    script = f"cd /; rm -rf /tmp/foreign; mkdir /tmp/foreign; chown postgres /tmp/foreign; exec {who} {receive}"
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
        refused = lab.play("switchover")
        said = ended(cluster, refused, "refused")
        assert "foreign" in said["reasons"][0] and "backup_ha_on_foreign_streamers: end" in said["reasons"][0], said
        outcome = lab.play("switchover", "-e", "backup_ha_on_foreign_streamers=end")
        said = ended(cluster, outcome, "done", **exchanged(cluster))
        assert "will be ended just before: foreign" in outcome.said, outcome
    cluster.settle(cluster.secondary)


def test_rolled_back_when_the_deadline_leaves_no_time_for_the_stop(cluster: Cluster) -> None:
    lab = cluster.lab
    starts = postmaster_starts(lab, cluster.primary)
    director = lab.sh(cluster.primary, f"systemctl show -P MainPID {DIRECTOR}")
    with frozen(lab, cluster.primary, CHECKPOINTER):
        outcome = lab.play("switchover", "-e", "backup_ha_switchover_deadline=15")
        said = ended(cluster, outcome, "rolled_back")
        assert cluster.settle() == cluster.primary
    assert "The checkpoint 1 of 2 before the stop" in said["reasons"][0], said
    assert "backup_ha_switchover_deadline" in said["reasons"][0], said
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
    # Not back again: what is left to do is the proof.
    ended(cluster, lab.play("switchover"), "done", **exchanged(cluster))
    cluster.settle(cluster.secondary)


def test_in_doubt_until_the_new_director_answers(cluster: Cluster) -> None:
    """systemd takes it for running. Run again, the playbook asks once more and finishes."""
    lab, new = cluster.lab, cluster.secondary
    lab.sh(new, f"mkdir -p {MUTE.rpartition('/')[0]}")
    lab.sh(new, f"printf '[Service]\\nType=simple\\nExecStart=\\nExecStart=/bin/sleep infinity\\n' > {MUTE}")
    lab.sh(new, "systemctl daemon-reload")
    try:
        said = ended(cluster, lab.play("switchover"), "in_doubt", primary=None, secondary=None)
        assert any(f"bacula on {new} does not work: The Director" in reason for reason in said["reasons"]), said
        assert lab.accepts_writes(new)
    finally:
        lab.sh(new, f"rm {MUTE}; systemctl daemon-reload; systemctl restart {DIRECTOR}")
    ended(cluster, lab.play("switchover"), "done", **exchanged(cluster))
    cluster.settle(new)


def and_one_that_is_silent(document: dict[str, Any]) -> None:
    """A second cluster, of servers that do not exist."""
    clusters = document["backup_ha"]["children"]
    known = clusters[CLUSTER]
    hosts = {f"silent{number}": {"ansible_host": f"198.18.0.{number}"} for number in (1, 2)}
    clusters["silent"] = {"hosts": hosts, "vars": {**known["vars"], "backup_ha_cluster": "silent"}}


def test_failed_and_refused_when_there_are_two_clusters(cluster: Cluster) -> None:
    """One fails before anything of its roles was touched; the other one does not answer."""
    lab = cluster.lab
    inventory = lab.write_inventory("two-clusters", and_one_that_is_silent)
    lab.sql(cluster.primary, "ALTER TABLE backup_ha.file RENAME TO away", "backup_ha")
    try:
        outcome = lab.play("switchover", inventory=inventory)
        said = ended(cluster, outcome, "failed")
        assert "relation" in said["reasons"][0], said
        other = outcome.stats["silent"]
        assert other["outcome"] == "refused" and "does not answer over SSH" in other["reasons"][0], other
        assert other["primary"] is other["secondary"] is None, other
    finally:
        lab.sql(cluster.primary, "ALTER TABLE backup_ha.away RENAME TO file", "backup_ha")
    assert cluster.settle() == cluster.primary


def test_in_doubt_when_both_nodes_are_lost_in_the_middle(cluster: Cluster) -> None:
    """Nobody is left whom a playbook could ask, or that could judge; what was said beforehand counts."""
    lab = cluster.lab
    running = lab.start("switchover")
    running.await_task("Hand over")
    for node in (cluster.primary, cluster.secondary):
        lab.power_off(node)
    outcome = running.wait(120)
    found = outcome.stats[CLUSTER]
    assert outcome.code != 0 and found["outcome"] == "in_doubt", (found, str(outcome))
    assert found["reasons"] and found["primary"] is found["secondary"] is None, found
    for node in (cluster.primary, cluster.secondary):
        lab.power_on(node)
    lab.forget_connections()
    within(60, lab.writers, "one of them has resumed")
    lab.play("switchover").check()
    cluster.settle()
