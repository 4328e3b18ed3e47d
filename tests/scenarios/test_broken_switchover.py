"""A switchover that breaks in its critical section, before the promotion, puts the old primary back by itself."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.playbook import Outcome
from tests.scenarios.support import within
from tests.scenarios.watching import Watch, watch_over

TIMEOUT_S = 5
# Freezes the secondary's replay as soon as a handover holds a lock there: its checks and copies are over, nothing has
# stopped yet, and the promotion cannot come before the replay goes on.
AMBUSH = """
import os, signal, time, psycopg
with psycopg.connect("host=/var/run/postgresql dbname=postgres", autocommit=True) as link:
    (startup,) = link.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'").fetchone()
    while not link.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()[0]:
        time.sleep(0.002)
os.kill(startup, signal.SIGSTOP)
"""
THAW = "pkill -CONT -f 'postgres: 15/main: startup' || true"


@pytest.fixture
def watch(cluster: Cluster, tmp_path: Path) -> Watch:
    return watch_over(cluster, tmp_path)


@contextmanager
def frozen_replay(cluster: Cluster) -> Iterator[None]:
    """The secondary stops replaying in the critical section of the switchover that runs meanwhile."""
    script = f"cd /; exec runuser -u postgres -- timeout 60 python3 - <<'PYTHON'\n{AMBUSH}PYTHON"
    ambush = cluster.lab.spawn(cluster.secondary, script)
    try:
        yield
    finally:
        ambush.terminate()
        ambush.wait()


def is_clear(outcome: Outcome, *words: str) -> None:
    """The playbook has failed with these words, and with nothing that only a programmer understands."""
    assert outcome.code != 0, outcome
    for word in words:
        assert word in outcome.said, outcome
    for noise in ("Traceback", "MODULE FAILURE", "EOF detected", "SSL SYSCALL"):
        assert noise not in outcome.output, outcome


def stopped(cluster: Cluster) -> bool:
    return cluster.lab.fails(cluster.primary, "cd /; runuser -u postgres -- psql -Xc 'SELECT 1'")


def serves(cluster: Cluster) -> None:
    """The old primary takes writes again, and has the endpoint."""
    within(10, lambda: cluster.lab.accepts_writes(cluster.primary), "the old primary serves again")
    within(5, lambda: cluster.lab.has_endpoint(cluster.primary), "the old primary has the endpoint again")


@pytest.mark.later
def test_the_secondary_does_not_replay_in_time(watch: Watch) -> None:
    cluster, lab = watch.cluster, watch.cluster.lab

    def switch_over() -> None:
        with frozen_replay(cluster):
            outcome = lab.play("switchover", "-e", f"backup_ha_switchover_timeout={TIMEOUT_S}")
        serves(cluster)
        lab.sh(cluster.secondary, THAW)
        is_clear(outcome, f"it did not arrive within {TIMEOUT_S} s")
        assert "Taking the role back failed" not in outcome.said, outcome

    watch.over(switch_over, primary=cluster.primary)


@pytest.mark.later
def test_the_secondary_dies_after_the_primary_has_stopped(watch: Watch) -> None:
    cluster, lab = watch.cluster, watch.cluster.lab

    def switch_over() -> None:
        with frozen_replay(cluster):
            running = lab.start("switchover", "-e", "backup_ha_switchover_timeout=15")
            within(60, lambda: stopped(cluster), "the primary has stopped")
            lab.power_off(cluster.secondary)
        outcome = running.wait()
        serves(cluster)
        lab.power_on(cluster.secondary)
        is_clear(outcome)
        assert "Taking the role back failed" not in outcome.said, outcome
        lab.play("switchover").check()  # and the record that the dead node has kept stands in nobody's way

    watch.over(switch_over, primary=cluster.secondary)


def test_the_primary_dies_after_it_has_stopped(watch: Watch) -> None:
    cluster, lab = watch.cluster, watch.cluster.lab

    def switch_over() -> None:
        with frozen_replay(cluster):
            running = lab.start("switchover", "-e", "backup_ha_switchover_timeout=15")
            within(60, lambda: stopped(cluster), "the primary has stopped")
            lab.power_off(cluster.primary)
        lab.sh(cluster.secondary, THAW)
        assert running.wait().code != 0
        assert lab.writers([cluster.secondary]) == []
        lab.power_on(cluster.primary)
        # Both ask, and both have everything; whoever has both locks first goes on.
        within(30, lambda: len(lab.writers()) == 1, "one of them goes on")
        lab.play("switchover").check()
        lab.play("switchover").check()

    watch.over(switch_over, primary=cluster.primary)


@pytest.mark.later
def test_the_secondary_freezes_after_the_primary_has_stopped(watch: Watch) -> None:
    """Its kernel confirms that the connection lives, and nothing answers."""
    cluster, lab = watch.cluster, watch.cluster.lab

    def switch_over() -> None:
        with frozen_replay(cluster):
            running = lab.start("switchover", "-e", "backup_ha_switchover_timeout=10")
            within(60, lambda: stopped(cluster), "the primary has stopped")
            lab.sh(cluster.secondary, "pkill -STOP -u postgres")
        within(15, lambda: lab.accepts_writes(cluster.primary), "the old primary serves while the other node is frozen")
        outcome = running.wait()
        serves(cluster)
        is_clear(outcome)
        assert "Switchover of duet: rolled_back." in outcome.said, outcome
        lab.sh(cluster.secondary, "pkill -CONT -u postgres")
        cluster.settle(cluster.primary)
        lab.play("switchover").check()

    watch.over(switch_over, primary=cluster.secondary)


@pytest.mark.later
def test_a_promotion_that_answers_late_is_waited_for(watch: Watch) -> None:
    """Once it is requested it can't be called off, so no deadline ends the wait."""
    cluster, lab = watch.cluster, watch.cluster.lab
    slow = "ALTER SYSTEM {} recovery_end_command{}; SELECT pg_reload_conf();"

    def switch_over() -> None:
        for statement in slow.format("SET", " = 'sleep 8'").split("; "):
            lab.sql(cluster.secondary, statement)
        began = time.monotonic()
        lab.play("switchover", "-e", f"backup_ha_switchover_timeout={TIMEOUT_S}").check()
        assert time.monotonic() - began > 8
        for statement in slow.format("RESET", "").split("; "):
            lab.sql(cluster.secondary, statement)

    watch.over(switch_over, primary=cluster.secondary)


@contextmanager
def session_that_never_ends(cluster: Cluster) -> Iterator[None]:
    """A client's server process that does not react to the request to end: a fast stop waits for it for ever."""
    lab, name = cluster.lab, "frozen by a scenario"
    psql = f"cd /; PGAPPNAME='{name}' exec runuser -u postgres -- psql -Xc 'SELECT pg_sleep(600)'"
    session: subprocess.Popen[str] = lab.spawn(cluster.primary, psql)
    pid = f"SELECT pid FROM pg_stat_activity WHERE application_name = '{name}'"
    number = within(10, lambda: lab.sql(cluster.primary, pid), "the session")
    lab.sh(cluster.primary, f"kill -STOP {number}")
    try:
        yield
    finally:
        lab.sh(cluster.primary, f"kill -KILL {number}", check=False)
        session.terminate()
        session.wait()


def test_the_primary_does_not_stop_in_time(watch: Watch) -> None:
    cluster, lab = watch.cluster, watch.cluster.lab

    def switch_over() -> None:
        with session_that_never_ends(cluster):
            outcome = lab.play("switchover", "-e", f"backup_ha_switchover_timeout={TIMEOUT_S}")
            serves(cluster)
            is_clear(outcome, f"PostgreSQL did not stop within {TIMEOUT_S} s")

    watch.over(switch_over, primary=cluster.primary)
