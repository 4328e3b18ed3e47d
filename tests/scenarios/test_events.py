"""What happens is told: in the journal, in both nodes' tables, by the hook and as metrics. Nothing waits for that."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.scenarios.cluster import Cluster, director_answers, postmaster_starts
from tests.scenarios.support import DATA, NODES, UNIT, Lab, within
from tests.scenarios.taking_over import serves

AGENT = "backup-ha-agent.service"
METRICS = "/var/lib/prometheus/node-exporter/backup-ha.prom"
HEARD = "/root/heard"
SOON_S = 30.0
ENDED, DEGRADED = "bce034c781bb4a5ea4ae5aa5dddcf359", "d915171e9b924c3b9d72abcf72d3d992"
FILL_MB, CAP_MB = 400, 100


def events(lab: Lab, node: str) -> list[dict[str, Any]]:
    """All that a node lists."""
    return cast("list[dict[str, Any]]", json.loads(lab.sh(node, "backup-ha events --json --limit 1000")))


class News:
    """The events since now, as the table of each node has them: those on their way to it do not count."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        node = next(node for node in NODES if lab.accepts_writes(node))
        self._began = lab.sql(node, "SELECT clock_timestamp()")

    def of(self, node: str, kind: str) -> list[dict[str, Any]]:
        query = (
            f"SELECT to_json(e) FROM backup_ha.event AS e WHERE at > '{self._began}' AND kind = '{kind}' ORDER BY at"
        )
        return [json.loads(line) for line in self.lab.sql(node, query, "backup_ha").splitlines()]

    def wait_for(self, node: str, kind: str, count: int = 1, seconds: float = SOON_S) -> list[dict[str, Any]]:
        """Exactly so many, at the end."""
        within(seconds, lambda: len(self.of(node, kind)) >= count, f"{count} of {kind} on {node}")
        found = self.of(node, kind)
        assert len(found) == count, found
        return found


def journal(lab: Lab, node: str, message_id: str) -> list[dict[str, Any]]:
    lines = lab.sh(node, f"journalctl --no-pager -o json MESSAGE_ID={message_id}").splitlines()
    return [json.loads(line) for line in lines]


def waiting(lab: Lab, node: str) -> int:
    return int(lab.sh(node, "ls -A /var/lib/backup-ha/events | wc -l"))


def all_sent(lab: Lab, node: str) -> None:
    within(SOON_S, lambda: waiting(lab, node) == 0, f"no event waits on {node}")


@pytest.fixture(scope="module", autouse=True)
def as_it_was(lab: Lab) -> Iterator[None]:
    """The other scenarios share the cluster; the last one here leaves two blank servers."""
    yield
    lab.reset(*NODES)
    lab.play("assemble").check()


def test_a_switchover_is_told_on_both_nodes(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    news = News(lab)
    lab.play("switchover").check()
    for node in NODES:
        (begun,) = news.wait_for(node, "operation_started")
        (ended,) = news.wait_for(node, "operation_ended")
        assert begun["details"]["target"] == new and ended["details"]["outcome"] == "done"
        assert begun["details"]["operation"] == ended["details"]["operation"]
        roles = news.wait_for(node, "role_changed", 2)
        assert {(event["node"], event["details"]["after"]) for event in roles} == {(old, "secondary"), (new, "primary")}
        found = [
            line for line in journal(lab, node, ENDED) if ended["details"]["operation"] in line["BACKUP_HA_DETAILS"]
        ]
        assert len(found) == 1 and found[0]["BACKUP_HA_EVENT"] == "operation_ended"
        all_sent(lab, node)
        assert ended["message"] in lab.sh(node, "backup-ha events --since 5m")
    status = lab.play("status").check()
    assert "Last events:" in status.said and ended["message"] in status.said, status
    assert "last events:" in lab.sh(new, "backup-ha status")


def test_without_the_primary_events_wait_and_then_none_is_lost(cluster: Cluster) -> None:
    """The secondary has something to tell while nobody accepts writes; the agent is not needed for it."""
    lab, primary, secondary = cluster.lab, cluster.primary, cluster.secondary
    news = News(lab)
    lab.sh(secondary, f"systemctl stop {AGENT}")
    lab.power_off(primary)
    assert lab.fails(secondary, "backup-ha failover --yes"), "nobody knows whether the primary is off"
    assert waiting(lab, secondary) == 2
    told = [event["kind"] for event in events(lab, secondary)[-2:]]
    assert told == ["operation_started", "operation_ended"], "they are listed at once"
    assert any("refused" in line["MESSAGE"] for line in journal(lab, secondary, ENDED)), "and in the journal"
    lab.power_on(primary)
    cluster.settle(primary)
    for node in NODES:
        (ended,) = news.wait_for(node, "operation_ended", seconds=60)
        assert ended["node"] == secondary and ended["details"]["outcome"] == "refused"
    all_sent(lab, secondary)
    lab.sh(secondary, f"systemctl start {AGENT}")


def test_degraded_is_on_record_before_a_commit_that_does_not_wait(cluster: Cluster) -> None:
    lab, primary = cluster.lab, cluster.primary
    lab.play("assemble", "-e", "backup_ha_synchronous=preferred").check()
    protected = "SELECT protected FROM backup_ha.protection ORDER BY id DESC LIMIT 1"
    within(SOON_S, lambda: lab.sql(primary, protected, "backup_ha") == "t", "commits are protected")
    news = News(lab)
    lab.power_off(cluster.secondary)
    # As a client commits, until one is acknowledged; it tells when.
    insert = "INSERT INTO backup_ha.probe (asked_by) VALUES (gen_random_uuid()::text)"
    client = f'PGOPTIONS="-c statement_timeout=1s" timeout 4 runuser -u postgres -- psql -XAtqc "{insert}" backup_ha'
    script = f"cd /; until {client} 2>&1 | grep -c . | grep -qx 0; do sleep 0.05; done; date +%s.%N"
    acknowledged = float(lab.sh(primary, script, timeout=60))
    (event,) = [json.loads(line["BACKUP_HA_DETAILS"]) | line for line in journal(lab, primary, DEGRADED)][-1:]
    assert int(event["__REALTIME_TIMESTAMP"]) / 1e6 < acknowledged
    assert "has not streamed for" in event["why"]
    news.wait_for(primary, "protection_degraded")
    lab.power_on(cluster.secondary)
    cluster.settle(primary)
    for node in NODES:
        news.wait_for(node, "protection_restored")
        news.wait_for(node, "protection_degraded")


def test_a_secondary_that_was_away_for_long(cluster: Cluster) -> None:
    """The agent is told that ten minutes are over."""
    lab, primary = cluster.lab, cluster.primary
    news = News(lab)
    lab.power_off(cluster.secondary)
    state = "/var/lib/backup-ha/notices.json"
    within(SOON_S, lambda: '"away_since": null' not in lab.sh(primary, f"cat {state}"), "the agent has seen it")
    assert news.of(primary, "secondary_away") == []
    change = f"import json; p = '{state}'; s = json.load(open(p)); s['away_since'] -= 600; json.dump(s, open(p, 'w'))"
    lab.sh(primary, f'systemctl stop {AGENT}; python3 -c "{change}"; systemctl start {AGENT}')
    news.wait_for(primary, "secondary_away")
    lab.power_on(cluster.secondary)
    news.wait_for(primary, "secondary_back", seconds=60)
    cluster.settle(primary)
    news.wait_for(cluster.secondary, "secondary_away")


def hook(*words: str) -> str:
    return json.dumps({"backup_ha_event_hook": words, "backup_ha_event_hook_timeout": 4})


def refused_failover(lab: Lab, node: str) -> None:
    """Two events that change nothing: the primary answers."""
    assert lab.fails(node, "backup-ha failover --yes")


@pytest.mark.later
def test_the_hook_gets_events_and_holds_nothing_up(cluster: Cluster) -> None:
    lab, primary, secondary = cluster.lab, cluster.primary, cluster.secondary
    lab.play("assemble", "-e", hook("/bin/sh", "-c", f"cat >> {HEARD}")).check()
    refused_failover(lab, secondary)
    within(SOON_S, lambda: lab.sh(secondary, f"cat {HEARD} | wc -l", check=False) == "2", "the hook has two")
    told = [json.loads(line) for line in lab.sh(secondary, f"cat {HEARD}").splitlines()]
    assert [event["kind"] for event in told] == ["operation_started", "operation_ended"]
    assert told[1]["node"] == secondary and told[1]["message_id"] == ENDED

    lab.play("assemble", "-e", hook("/bin/sh", "-c", "sleep 1000")).check()
    news, passed = News(lab), last_pass(lab, secondary)
    refused_failover(lab, secondary)
    news.wait_for(primary, "operation_ended", seconds=10)
    within(SOON_S, lambda: last_pass(lab, secondary) > passed, "the agent goes on")
    said = "journalctl --no-pager -u backup-ha-events.service"
    within(SOON_S, lambda: "The event hook has failed" in lab.sh(secondary, said), "its end is said")
    all_sent(lab, secondary)
    assert lab.sh(secondary, said).count("The event hook has failed") == 1
    assert lab.fails(secondary, "pgrep -x sleep -a | grep 1000"), "nothing of it runs on"
    lab.play("assemble").check()


def metrics(lab: Lab, node: str) -> dict[str, Any]:
    """As Prometheus reads them: the value of a metric without labels, else the label values that are true."""
    text = lab.sh(node, f"cat {METRICS}") + "\n"
    found: dict[str, Any] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.labels:
                found[sample.name] = sample.value
            elif sample.value:
                found.setdefault(sample.name, {}).update({tuple(sample.labels.values()): sample.value})
    return found


def last_pass(lab: Lab, node: str) -> float:
    lab.sh(node, f"mkdir -p $(dirname {METRICS})")
    within(SOON_S, lambda: not lab.fails(node, f"test -s {METRICS}"), f"metrics on {node}")
    return float(metrics(lab, node)["backup_ha_agent_last_pass_timestamp_seconds"])


def test_metrics_tell_what_is_true(cluster: Cluster) -> None:
    lab, primary, secondary = cluster.lab, cluster.primary, cluster.secondary
    for node in NODES:
        last_pass(lab, node)
        assert lab.sh(node, f"stat -c %a {METRICS}") == f"{stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH:o}"
    within(SOON_S, lambda: metrics(lab, primary).get("backup_ha_streaming") == 1, "it streams")
    here, there = metrics(lab, primary), metrics(lab, secondary)
    assert here["backup_ha_role"] == {("primary",): 1} and there["backup_ha_role"] == {("secondary",): 1}
    assert here["backup_ha_timeline"] == there["backup_ha_timeline"]
    assert here["backup_ha_slot_state"] == {("reserved",): 1}
    assert there["backup_ha_streaming"] == 1 and "backup_ha_slot_state" not in there
    years = (min(here["backup_ha_certificate_expiry_timestamp_seconds"].values()) - time.time()) / (365 * 86400)
    assert years > 9
    lab.power_off(secondary)
    within(SOON_S, lambda: metrics(lab, primary)["backup_ha_streaming"] == 0, "it does not stream")
    lab.sql(primary, "SELECT pg_logical_emit_message(false, 'scenario', repeat('x', 20000000))")
    within(SOON_S, lambda: metrics(lab, primary)["backup_ha_wal_kept_bytes"] > 20_000_000, "kept WAL")
    lab.power_on(secondary)
    cluster.settle(primary)


@pytest.mark.later
def test_a_certificate_that_expires_soon(cluster: Cluster) -> None:
    lab = cluster.lab
    node = next(node for node in NODES if not lab.fails(node, "test -e /etc/backup-ha/ca/ca.key"))
    tls, ca = "/etc/backup-ha/tls", "/etc/backup-ha/ca/ca"
    news = News(lab)
    lab.sh(
        node,
        f"openssl req -new -key {tls}/node.key -subj /CN=backup_ha |"
        f" openssl x509 -req -days 20 -CA {ca}.crt -CAkey {ca}.key -set_serial 7 -out {tls}/node.crt",
    )
    (event,) = news.wait_for(node, "certificate_expires")
    assert "expires in 20 days" in event["message"] and event["severity"] == "warning"
    lab.play("assemble").check()
    assert lab.sh(node, f"openssl x509 -noout -checkend {300 * 86400} -in {tls}/node.crt").endswith("will not expire")


def write_wal(lab: Lab, node: str, megabytes: int) -> None:
    message = "SELECT pg_logical_emit_message(false, 'scenario', repeat('x', 1048576) || n)"
    lab.sql(node, f"SELECT count(m) FROM generate_series(1, {megabytes}) AS n, LATERAL ({message}) AS l(m)")


@pytest.fixture
def small_disk(cluster: Cluster) -> Cluster:
    """The primary's WAL is on a small file system of its own."""
    lab, primary, wal = cluster.lab, cluster.primary, "/var/lib/postgresql/wal"
    lab.sh(primary, f"systemctl stop {UNIT}")
    lab.fill_disk(primary, wal, FILL_MB)
    lab.sh(
        primary,
        f"chown postgres: {wal}; chmod 0700 {wal}; cp -a {DATA}/pg_wal/. {wal}/; rm -rf {DATA}/pg_wal;"
        f"runuser -u postgres -- ln -s {wal} {DATA}/pg_wal; systemctl start {UNIT}",
    )
    cluster.settle(primary)
    settings = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
    lab.play("assemble", "-e", json.dumps({"backup_ha_postgresql_settings": settings})).check()
    within(SOON_S, lambda: lab.sql(primary, "SHOW max_slot_wal_keep_size") == f"{CAP_MB}MB", "a quarter of it")
    return cluster


@pytest.mark.later
def test_the_primary_s_disk_never_fills_with_wal_for_an_absent_secondary(small_disk: Cluster) -> None:
    lab, primary, secondary = small_disk.lab, small_disk.primary, small_disk.secondary
    starts, news = postmaster_starts(lab, primary), News(lab)
    lab.power_off(secondary)
    write_wal(lab, primary, CAP_MB * 6 // 10)
    (event,) = news.wait_for(primary, "wal_half")
    assert f"more than half of the {CAP_MB}.0 MiB" in event["message"]
    status = lab.play("status")
    assert status.verdict == "degraded" and f"more than half of the {CAP_MB}.0 MiB" in status.said, status
    assert f"Bring {secondary} back; it follows by itself" in status.said, status

    for _number in range(12):  # one and a half times as much as fits there
        write_wal(lab, primary, FILL_MB // 8)
        assert lab.accepts_writes(primary)
        time.sleep(1.0)  # PostgreSQL gives WAL up with a checkpoint, and those take a moment
    lab.sql(primary, "CHECKPOINT")
    news.wait_for(primary, "wal_lost")
    assert int(lab.sh(primary, "df --output=pcent /var/lib/postgresql/wal | tail -1 | tr -dc 0-9")) < 90
    assert postmaster_starts(lab, primary) == starts, "its server was never restarted"
    serves(lab, primary)
    assert "row 1 of version" in director_answers(lab, primary)
    status = lab.play("status")
    assert f"{primary} no longer has the WAL that {secondary} needs" in status.said, status
    assert f"Bring {secondary} back; it rejoins by itself" in status.said, status

    lab.power_on(secondary)
    small_disk.settle(primary)
    (begun,) = news.wait_for(primary, "operation_started")
    (ended,) = news.wait_for(primary, "operation_ended")
    assert (begun["node"], ended["details"]["what"], ended["details"]["outcome"]) == (secondary, "rejoin", "done")
