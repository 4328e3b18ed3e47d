"""What a switchover says beforehand of its stop comes true, and what would take too long is refused with numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import UNIT, Lab, within
from tests.scenarios.test_broken_switchover import is_clear, serves
from tests.scenarios.test_outcomes import ended, shown
from tests.scenarios.watching import watch_over

__all__ = ["shown"]  # the fixture counts for this file, too

# Stops the checkpointer as soon as the handover is about to stop the server; the checkpoints before are over then.
AMBUSH = """
import json, os, signal, subprocess, time
pid = int(subprocess.check_output(["pgrep", "-f", "postgres: 15/main: checkpointer"]))
step = ""
while step not in ("stop_workload", "stop_primary"):
    try:
        step = json.load(open("/var/lib/backup-ha/operation.json"))["step"]
    except (OSError, ValueError):
        pass
    time.sleep(0.001)
os.kill(pid, signal.SIGSTOP)
"""


def test_a_checkpointer_that_hangs_in_the_stop_ends_in_the_old_primary(cluster: Cluster, tmp_path: Path) -> None:
    lab = cluster.lab

    def switch_over() -> None:
        ambush = lab.spawn(cluster.primary, f"exec timeout 60 python3 - <<'PYTHON'\n{AMBUSH}PYTHON")
        try:
            outcome = lab.play("switchover", "-e", "backup_ha_switchover_timeout=3")
        finally:
            ambush.terminate()
            ambush.wait()
        ended(cluster, outcome, "rolled_back")
        is_clear(outcome, "PostgreSQL did not stop within 3 s")
        serves(cluster)

    watch_over(cluster, tmp_path).over(switch_over, primary=cluster.primary)


@contextmanager
def archiving(lab: Lab, node: str) -> Iterator[None]:
    """This node archives its WAL; switched on and off again by restarts, as PostgreSQL wants it."""
    lab.sql(node, "ALTER SYSTEM SET archive_mode = on; ALTER SYSTEM SET archive_command = 'true'")
    lab.sh(node, f"systemctl restart {UNIT}")
    try:
        within(30, lambda: lab.accepts_writes(node) and lab.has_endpoint(node), "the primary serves again")
        yield
    finally:
        settings = "'ALTER SYSTEM RESET archive_mode' -c 'ALTER SYSTEM RESET archive_command'"
        lab.sh(node, f"cd /; runuser -u postgres -- psql -Xqc {settings}; systemctl restart {UNIT}", check=False)


def archive_with(lab: Lab, node: str, command: str) -> None:
    lab.sql(node, f"ALTER SYSTEM SET archive_command = '{command}';\nSELECT pg_reload_conf()")


def fill_segments(lab: Lab, node: str, count: int) -> None:
    for _segment in range(count):
        lab.sql(node, "SELECT pg_logical_emit_message(true, 'scenario', 'x'); SELECT pg_switch_wal()")


def waiting(lab: Lab, node: str) -> int:
    return int(lab.sql(node, "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"))


@pytest.fixture
def primary(cluster: Cluster) -> Iterator[str]:
    with archiving(cluster.lab, cluster.primary):
        cluster.settle(cluster.primary)
        yield cluster.primary
    cluster.settle(cluster.secondary)


@pytest.mark.later
def test_the_archiver_is_waited_for_as_long_as_it_was_said(cluster: Cluster, primary: str) -> None:
    lab = cluster.lab
    archive_with(lab, primary, "false")
    fill_segments(lab, primary, 1)
    within(20, lambda: lab.sql(primary, "SELECT failed_count > 0 FROM pg_stat_archiver") == "t", "archiving fails")
    said = ended(cluster, lab.play("switchover"), "refused")
    assert f"WAL archiving fails on {primary}" in said["reasons"][0], said

    archive_with(lab, primary, "sleep 1.5")
    fill_segments(lab, primary, 3)
    within(20, lambda: 1 <= waiting(lab, primary) <= 3, "some were archived, some wait")
    fill_segments(lab, primary, 4)
    said = ended(cluster, lab.play("switchover", "-e", "backup_ha_switchover_timeout=4"), "refused")
    assert re.search(r"Nobody could write for about \d", said["reasons"][0]), said
    assert f"Wait until the archiver of {primary} has caught up" in said["reasons"][0], said

    fill_segments(lab, primary, 8)
    said = ended(cluster, lab.play("switchover"), "done", primary=cluster.secondary, secondary=primary)
    forecast, took = said["forecast"], said["took"]
    assert forecast["archive_files"] >= 1 and took["stop_s"] > 1, said
    assert took["stop_s"] / 3 < forecast["stop_s"] < took["stop_s"] * 3, said
