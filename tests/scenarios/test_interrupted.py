"""Killed at any step, it heals: one writer, nothing acknowledged lost, and the same playbook again is enough."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.cluster import Cluster, faults
from tests.scenarios.playbook import Running
from tests.scenarios.support import DATA, NODES, Lab, run, within
from tests.scenarios.watching import Watch, watch_over

SHORT = ("-e", "backup_ha_switchover_timeout=5")


@pytest.fixture
def watch(cluster: Cluster, tmp_path: Path) -> Watch:
    return watch_over(cluster, tmp_path)


def init_process(lab: Lab, node: str) -> int:
    """The node's first process, by its number on this machine: who kills it cuts the node's power at once."""
    return int(run("podman", "inspect", "--format", "{{.State.Pid}}", f"{lab.name}-{node}"))


def postmaster(lab: Lab, node: str) -> int:
    """The node's postmaster, by its number on this machine."""
    init = init_process(lab, node)
    inside = Path(f"/proc/{init}/root{DATA}/postmaster.pid").read_text(encoding="ascii").split()[0]
    space = os.readlink(f"/proc/{init}/ns/pid")
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"\t{inside}\n" not in status.read_text(encoding="utf-8").partition("NSpid:")[2].partition("NSpgid")[0]:
                continue
            if os.readlink(status.with_name("ns") / "pid") == space:
                return int(status.parent.name)
        except OSError:
            continue  # ended meanwhile
    raise AssertionError(f"{node} has no postmaster {inside}")


def when_the_giver_has_stopped(watch: Watch, act: Callable[[], object]) -> Running:
    """Begin a switchover, and act at the moment when the giving node's postmaster has ended."""
    cluster = watch.cluster
    waiting = os.pidfd_open(postmaster(cluster.lab, cluster.primary))
    try:
        switchover = cluster.lab.start("switchover", *SHORT)
        assert select.select([waiting], [], [], 60)[0], "the giving node never stopped"
        act()
    finally:
        os.close(waiting)
    return switchover


def await_recovery(lab: Lab) -> None:
    """Wait until only the record of the interrupted operation is left over; the next run takes its place."""
    within(60, lambda: all("has the operation" in fault for fault in faults(lab)), "the cluster recovers by itself")


def power_on(lab: Lab, node: str) -> None:
    state = ("podman", "inspect", "--format", "{{.State.Status}}", f"{lab.name}-{node}")
    within(15, lambda: run(*state).strip() == "exited", f"{node} is off")
    lab.power_on(node)
    lab.forget_connections()


@pytest.mark.parametrize("victim", ["secondary", "primary"])
def test_a_node_dies_after_the_giver_stopped(watch: Watch, victim: str) -> None:
    """The promotion is requested about 10 ms after the stop and has happened 30 ms later."""
    lab, node = watch.cluster.lab, getattr(watch.cluster, victim)
    init = init_process(lab, node)

    def interrupted() -> None:
        switchover = when_the_giver_has_stopped(watch, lambda: os.kill(init, signal.SIGKILL))
        assert switchover.wait(120).code != 0
        assert len(lab.writers([other for other in NODES if other != node])) <= 1
        power_on(lab, node)
        await_recovery(lab)
        lab.play("switchover").check()

    watch.over(interrupted)


@pytest.mark.parametrize("moment", [1.5, "Hand over"])
def test_the_control_process_dies_during_a_switchover(watch: Watch, moment: float | str) -> None:
    lab = watch.cluster.lab

    def interrupted() -> None:
        switchover = lab.start("switchover")
        if isinstance(moment, str):
            switchover.await_task(moment)
        else:
            time.sleep(moment)
        switchover.kill()
        lab.play("switchover").check()

    watch.over(interrupted)


@pytest.mark.later
def test_the_link_between_the_nodes_breaks_during_the_handover(watch: Watch) -> None:
    lab, cluster = watch.cluster.lab, watch.cluster
    init = init_process(lab, cluster.primary)
    other = lab.address(cluster.secondary)
    cut = f"iptables -I INPUT -s {other} -j DROP; iptables -I OUTPUT -d {other} -j DROP"

    def interrupted() -> None:
        script = ("nsenter", "-t", str(init), "-n", "sh", "-c", cut)
        switchover = when_the_giver_has_stopped(watch, lambda: run(*script))
        switchover.wait(150)
        assert len(lab.writers()) <= 1
        lab.mend_link()
        await_recovery(lab)
        lab.play("switchover").check()

    watch.over(interrupted)


@pytest.mark.later
def test_the_giver_freezes_during_the_handover(watch: Watch) -> None:
    lab, cluster = watch.cluster.lab, watch.cluster

    def interrupted() -> None:
        switchover = when_the_giver_has_stopped(watch, lambda: lab.podman("pause", cluster.primary))
        time.sleep(5)
        lab.podman("unpause", cluster.primary)
        switchover.wait(120)
        await_recovery(lab)
        lab.play("switchover").check()

    watch.over(interrupted)
