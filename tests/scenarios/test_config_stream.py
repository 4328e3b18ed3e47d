"""The workload's configuration files follow the primary's all the time, and no role change undoes a change."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.scenarios.cluster import DIRECTOR, Cluster
from tests.scenarios.files import (
    DIRECTORY,
    REPLACED,
    REPLICATED_S,
    arrives,
    in_stream,
    journal,
    put_aside,
    read,
    same,
    write,
)
from tests.scenarios.support import Lab, within
from tests.scenarios.taking_over import DONE, failover, serves
from tests.scenarios.test_agent import AGENT, wait_until_protected

SOURCE = "SELECT node FROM backup_ha.file_source"


@pytest.fixture(scope="module", autouse=True)
def as_it_was(lab: Lab) -> Iterator[None]:
    """The other scenarios share the cluster."""
    yield
    lab.play("assemble").check()


def test_changes_come_over(cluster: Cluster) -> None:
    lab, here, there = cluster.lab, cluster.primary, cluster.secondary
    same(lab)
    write(lab, here, "stream.conf", "one")
    arrives(cluster, "stream.conf", "one")
    write(lab, here, "stream.conf", "two")
    arrives(cluster, "stream.conf", "two")
    lab.sh(here, f"cd {DIRECTORY}; chmod 0604 stream.conf; chown bacula:bacula stream.conf; mkdir -m 0710 stream.d")
    lab.sh(here, f"cd {DIRECTORY}; echo deep > stream.d/deep.conf; ln -s ../stream.conf stream.d/link")
    same(lab)
    assert lab.sh(there, f"stat -c '%a %U:%G' {DIRECTORY}/stream.conf") == "604 bacula:bacula"
    assert lab.sh(there, f"cd {DIRECTORY}/stream.d; cat link; stat -c %a .") == "two\n710"
    lab.sh(here, f"rm -r {DIRECTORY}/stream.d {DIRECTORY}/stream.conf")
    same(lab)
    assert lab.fails(there, f"ls -d {DIRECTORY}/stream*")
    assert lab.fails(there, f"grep -rl deep {REPLACED}"), "the stream's history has it"
    assert lab.play("status").check().verdict == "healthy"


def test_what_cannot_be_replicated_is_named_and_stops_nothing(cluster: Cluster) -> None:
    lab, here, there = cluster.lab, cluster.primary, cluster.secondary
    lab.sh(here, f"cd {DIRECTORY}; truncate -s 17M large.conf; ln -s /var/log/syslog leaves.conf; mkfifo pipe.conf")
    write(lab, here, "stream.conf", "beside them")
    arrives(cluster, "stream.conf", "beside them")
    found = {
        "large.conf": "has 17825792 bytes; a replicated file may have 16777216",
        "leaves.conf": "is a symbolic link to /var/log/syslog, which is outside",
        "pipe.conf": "is neither a file, a directory nor a symbolic link",
    }
    diff = lab.sh(here, "backup-ha diff; echo $?")
    document = json.loads(lab.sh(here, "backup-ha diff --json || true"))
    status = lab.play("status")
    for name, words in found.items():
        assert f"{DIRECTORY}/{name} {words}" in diff and f"{DIRECTORY}/{name} {words}" in status.said, (diff, status)
        assert words in document["problems"][f"{DIRECTORY}/{name}"]
        assert journal(lab, here, f"{DIRECTORY}/{name} {words}") == 1, "said once, whatever else changes"
    assert diff.endswith("1") and "backup-ha diff" in status.said and status.verdict == "degraded"
    assert lab.fails(there, f"ls {DIRECTORY}/large.conf {DIRECTORY}/leaves.conf {DIRECTORY}/pipe.conf")
    lab.sh(here, f"cd {DIRECTORY}; rm large.conf leaves.conf pipe.conf stream.conf")
    same(lab)
    within(REPLICATED_S, lambda: lab.sh(here, "backup-ha diff; echo $?") == "0", "nothing differs")


def test_what_was_edited_on_the_secondary_is_put_aside(cluster: Cluster) -> None:
    lab, there = cluster.lab, cluster.secondary
    before = read(lab, there, "bconsole.conf")
    write(lab, there, "bconsole.conf", "# edited on the secondary")
    write(lab, there, "added.conf", "# added on the secondary")
    lab.sh(there, f"echo '# its own' >> {DIRECTORY}/bacula-fd.conf")
    same(lab)
    assert read(lab, there, "bconsole.conf") == before and not read(lab, there, "added.conf")
    for name, content in (("bconsole.conf", "# edited on the secondary"), ("added.conf", "# added on the secondary")):
        assert put_aside(lab, there, content)
        assert journal(lab, there, f"{DIRECTORY}/{name} was changed on {there} alone. What was there is kept in") == 1
    assert "# its own" in read(lab, there, "bacula-fd.conf"), "a per-node file is left alone"
    assert lab.sh(there, f"stat -c %a {REPLACED}") == "700"
    lab.sh(there, f"sed -i '/# its own/d' {DIRECTORY}/bacula-fd.conf")


def test_an_agent_that_was_stopped_catches_up(cluster: Cluster) -> None:
    lab, here, there = cluster.lab, cluster.primary, cluster.secondary
    lab.sh(there, f"systemctl stop {AGENT}")
    write(lab, here, "stream.conf", "while there was none")
    within(REPLICATED_S, lambda: in_stream(lab, there, "stream.conf") == "while there was none", "it is in the stream")
    assert lab.sh(there, "backup-ha diff; echo $?") == f"{DIRECTORY}/stream.conf is not on {there}\n1"
    lab.sh(here, f"systemctl stop {AGENT}")
    write(lab, here, "stream.conf", "while there was none on either")
    time.sleep(6)
    status = lab.play("status")
    for node in (here, there):
        assert f"The replicated files in the stream and on {node} differ: {DIRECTORY}/stream.conf" in status.said, (
            status
        )
    lab.sh(here, f"systemctl start {AGENT}")
    lab.sh(there, f"systemctl start {AGENT}")
    arrives(cluster, "stream.conf", "while there was none on either")


def test_a_change_while_the_secondary_is_off(cluster: Cluster) -> None:
    lab = cluster.lab
    lab.power_off(cluster.secondary)
    write(lab, cluster.primary, "stream.conf", "while it was off")
    lab.sh(cluster.primary, f"rm -f {DIRECTORY}/added.conf")
    time.sleep(3)
    lab.power_on(cluster.secondary)
    cluster.settle(cluster.primary)
    arrives(cluster, "stream.conf", "while it was off")
    same(lab)


def test_a_switchover_right_after_a_change(cluster: Cluster) -> None:
    lab = cluster.lab
    write(lab, cluster.primary, "stream.conf", "just before the switchover")
    lab.play("switchover").check()
    assert read(lab, cluster.secondary, "stream.conf") == "just before the switchover"
    cluster.settle(cluster.secondary)
    same(lab)
    write(lab, cluster.secondary, "stream.conf", "on the new primary")
    same(lab)
    assert read(lab, cluster.primary, "stream.conf") == "on the new primary"
    assert lab.sql(cluster.secondary, SOURCE, "backup_ha") == cluster.secondary


def come_back(lab: Lab, old: str) -> None:
    lab.power_on(old)
    within(30, lambda: not lab.fails(old, "systemctl is-active postgresql@15-main"), "the old primary boots")
    lab.play("rejoin").check()


@pytest.mark.parametrize("synchronous", [pytest.param("off", marks=pytest.mark.later), "preferred"])
def test_a_failover_applies_what_the_stream_holds_before_the_workload_starts(
    cluster: Cluster, synchronous: str
) -> None:
    """Nobody applies on the secondary, so that it lags behind its stream; what is in no stream is lost with a word."""
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    lab.play("assemble", "-e", f"backup_ha_synchronous={synchronous}").check()
    if synchronous == "preferred":
        wait_until_protected(lab, old)
    write(lab, old, "stream.conf", "before")
    same(lab)
    lab.sh(new, f"systemctl stop {AGENT}")
    write(lab, old, "stream.conf", "in the stream")
    within(REPLICATED_S, lambda: in_stream(lab, new, "stream.conf") == "in the stream", "it is in the stream")
    assert read(lab, new, "stream.conf") == "before"
    lab.sh(old, f"systemctl stop {AGENT}")
    write(lab, old, "lost.conf", f"never captured {synchronous}")
    lab.power_off(old)
    answer = failover(lab, new, "--yes", "--primary-is-off")
    assert answer.code == DONE, answer
    serves(lab, new)
    assert read(lab, new, "stream.conf") == "in the stream"
    written = float(lab.sh(new, f"stat -c %.9Z {DIRECTORY}/stream.conf"))
    began = int(lab.sh(new, f"systemctl show -P ActiveEnterTimestampMonotonic {DIRECTOR}")) / 1e6
    since_boot, now = (float(word) for word in lab.sh(new, "cut -d' ' -f1 /proc/uptime; date +%s.%N").split())
    assert written <= now - since_boot + began + 0.05, "the workload started with the older file"
    lab.sh(new, f"systemctl start {AGENT}")
    come_back(lab, old)
    same(lab)
    assert put_aside(lab, old, f"never captured {synchronous}") and not read(lab, old, "lost.conf")
    assert read(lab, old, "stream.conf") == "in the stream"


def test_a_failover_in_the_middle_of_an_application(cluster: Cluster) -> None:
    """Hundreds of files arrive, and their node is promoted while its agent writes them."""
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    lab.sh(old, f"mkdir {DIRECTORY}/many; cd {DIRECTORY}/many; for i in $(seq 300); do echo new > $i.conf; done")
    query = f"SELECT count(*) FROM backup_ha.file WHERE path LIKE '{DIRECTORY}/many/%'"
    within(REPLICATED_S, lambda: lab.sql(new, query, "backup_ha") == "300", "they are in the stream")
    lab.power_off(old)
    assert failover(lab, new, "--yes", "--primary-is-off").code == DONE
    assert lab.sh(new, f"cat {DIRECTORY}/many/*.conf | sort | uniq -c").split() == ["300", "new"]
    serves(lab, new)
    come_back(lab, old)
    same(lab)
    lab.sh(new, f"rm -r {DIRECTORY}/many")
    same(lab)


def test_a_former_primary_that_goes_on_keeps_what_was_changed_meanwhile(cluster: Cluster) -> None:
    lab, primary = cluster.lab, cluster.primary
    lab.sh(primary, f"systemctl stop {AGENT}")
    write(lab, primary, "stream.conf", "captured after the power cut")
    lab.power_off(primary)
    lab.power_on(primary)
    cluster.settle(primary)
    arrives(cluster, "stream.conf", "captured after the power cut")
    assert read(lab, primary, "stream.conf") == "captured after the power cut"


def test_past_versions_come_back(cluster: Cluster) -> None:
    lab, here = cluster.lab, cluster.primary
    path = f"{DIRECTORY}/stream.conf"
    for content in ("version one", "version two"):
        write(lab, here, "stream.conf", content)
        arrives(cluster, "stream.conf", content)
    found = json.loads(lab.sh(here, f"backup-ha config history {path} --json"))
    two, one = found[:2]
    assert (two["bytes"], two["mode"], two["node"]) == (12, 0o640, here) and one["digest"] != two["digest"]
    assert "content" not in two
    shown = f"script -qec 'backup-ha config show {path} --version {one['id']}' /dev/null"
    assert lab.sh(here, shown).strip() == "version one"
    assert "root's terminal only" in lab.sh(here, f"backup-ha config show {path} 2>&1 | cat")
    lab.sh(here, f"backup-ha config show {path} --version {one['id']} --output /root/one")
    assert lab.sh(here, "stat -c %a /root/one; cat /root/one; rm /root/one") == "640\nversion one"
    assert "is not the primary" in lab.sh(cluster.secondary, f"backup-ha config restore {path} 2>&1 || true")
    assert f"{path} was restored." in lab.sh(here, f"backup-ha config restore {path}")
    arrives(cluster, "stream.conf", "version one")
    assert put_aside(lab, here, "version two")
    lab.sh(here, f"rm {path}")
    same(lab)
    assert "was removed at" in lab.sh(here, f"backup-ha config show {path} 2>&1 || true")
    lab.sh(here, f"backup-ha config restore {path}")
    arrives(cluster, "stream.conf", "version one")
    assert lab.sh(cluster.secondary, f"stat -c %a {path}") == "640"
    lab.sql(here, "UPDATE backup_ha.file_version SET captured = captured - interval '40 days'", "backup_ha")
    lab.sh(here, f"rm {path}")
    same(lab)
    left = json.loads(lab.sh(here, f"backup-ha config history {path} --json"))
    assert [version["kind"] for version in left] == ["removed", "file"], "the present one is as old, and is kept"
