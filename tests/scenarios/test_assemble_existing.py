"""A Bacula server with a history becomes a primary: it keeps its data, and one restart is all that it notices."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab import bacula
from tests.scenarios.cluster import DIRECTOR, catalog, director_answers, faults, postmaster_starts
from tests.scenarios.playbook import ROOT
from tests.scenarios.support import NODES, Lab, within
from tests.scenarios.test_assembly_refused import identity, make_data, refused
from tests.scenarios.test_busy import console, waiting_job
from tests.scenarios.test_outcomes import frozen

SECRETS = "/etc/bacula/bacula-dir.conf"
STORAGES = "/etc/bacula/storages.conf"


@pytest.fixture(scope="module")
def server(lab: Lab) -> Lab:
    """node1 runs a Bacula that has run jobs, node2 is blank, and the repository is a server of its own."""
    lab.reset(*NODES)
    for name in ("repository", "bacula_server"):
        lab.play_path(ROOT / f"lab/playbooks/{name}.yml").check()
    assert "BackupEtc" in catalog(lab, "node1")
    return lab


@pytest.fixture
def changed_storages(server: Lab) -> Iterator[Lab]:
    """The Director's storage daemon is said to live on the primary-to-be itself."""
    server.sh("node1", f"cp -p {STORAGES} /root/storages; sed -i 's/repository.lab.test/node1.lab.test/' {STORAGES}")
    yield server
    server.sh("node1", f"cp -p /root/storages {STORAGES}; rm /root/storages")


def test_a_repository_on_a_node_is_refused(changed_storages: Lab) -> None:
    refused(changed_storages, "node1", STORAGES, "repository")


def test_a_repository_on_a_node_can_be_allowed(changed_storages: Lab) -> None:
    with changed_storages.unchanged():
        changed_storages.play("assemble", "--check", "-e", "backup_ha_allow_local_repository=true").check()


def test_a_password_file_that_everybody_can_read_is_refused(server: Lab) -> None:
    server.sh("node1", f"chmod o+r {SECRETS}")
    try:
        refused(server, f"On node1, {SECRETS} holds passwords and is readable by everybody", "chmod o-rwx")
    finally:
        server.sh("node1", f"chmod o-r {SECRETS}")


def test_a_running_job_is_refused_and_ends_well(server: Lab) -> None:
    """The storage daemon stands still, and the job waits for it."""
    ask = console(server, "node1")
    with frozen(server, "repository", "pgrep -x bacula-sd"):
        job = waiting_job(ask, "BackupEtc")
        refused(server, "On node1, the Director runs jobs (1)", "Wait until they have ended, or cancel them")
    assert bacula.wait(ask, job, timeout=60).ok


def test_a_secondary_with_data_is_refused(server: Lab) -> None:
    before = make_data(server, "node2")
    refused(server, "Both node1 and node2 hold databases", "backup_ha_erase_secondary")
    refused(server, "node2", "backup_ha_erase_secondary", options=("-e", "backup_ha_initial_primary=node1"))
    assert identity(server, "node2") == before
    server.reset("node2")


def test_a_rehearsal_announces_the_restart_and_changes_nothing(server: Lab) -> None:
    with server.unchanged():
        outcome = server.play("assemble", "--check").check()
    assert "node1 is the primary, node2 the secondary" in outcome.said, outcome
    assert "PostgreSQL on node1 will be restarted once, for listen_addresses" in outcome.said, outcome


def test_settings_are_read_as_postgresql_reads_them(server: Lab) -> None:
    """Those that need a restart are announced; one that PostgreSQL does not accept changes nothing."""
    with server.unchanged():
        wanted = '{"backup_ha_postgresql_settings": {"shared_buffers": "64MB", "max_connections": "100"}}'
        outcome = server.play("assemble", "--check", "-e", wanted).check()
        assert "will be restarted once" in outcome.said and "shared_buffers = 8192" in outcome.said, outcome
        assert "max_connections" not in outcome.said, outcome
        wrong = '{"backup_ha_postgresql_settings": {"work_mem": "3apples", "werk_mem": "3MB"}}'
        outcome = server.play("assemble", "-e", wrong)
    assert outcome.code != 0, outcome
    assert "PostgreSQL on node1 does not accept what backup_ha_postgresql_settings wants" in outcome.said, outcome
    assert "work_mem = 3apples: " in outcome.said and "werk_mem = 3MB: " in outcome.said, outcome


def test_the_primary_keeps_its_data_and_restarts_once(server: Lab) -> None:
    rows, starts, was = catalog(server, "node1"), postmaster_starts(server, "node1"), identity(server, "node1")
    outcome = server.play("assemble").check()
    assert postmaster_starts(server, "node1") - starts == 1, outcome
    assert faults(server) == []
    assert server.writers() == ["node1"]
    assert {identity(server, node) for node in NODES} == {was}
    within(10, lambda: catalog(server, "node2") == rows, "the same catalog on node2")
    assert catalog(server, "node1") == rows
    assert "row 1 of version" in director_answers(server, "node1")
    status = server.play("status")
    assert (status.code, status.verdict) == (0, "healthy"), status


def test_assembling_again_changes_nothing(server: Lab) -> None:
    with server.unchanged():
        outcome = server.play("assemble").check()
    assert outcome.changed == {"node1": 0, "node2": 0}, outcome


def test_a_job_runs_before_and_after_a_switchover(server: Lab) -> None:
    for node in ("node1", "node2"):
        assert server.is_active(node, DIRECTOR)
        said = server.sh(node, "printf 'run job=BackupEtc yes\\nwait\\nmessages\\n' | timeout 60 bconsole -n")
        assert re.search(r"Termination: +Backup OK", said), said
        server.play("switchover").check()
    assert server.writers() == ["node1"]
    within(10, lambda: catalog(server, "node1") == catalog(server, "node2"), "the same catalog on both nodes")
