"""What every other scenario takes for granted, and what `make lab` promises: the lab itself, with one of its own."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scenarios.playbook import ROOT
from tests.scenarios.support import NODES, CommandError, Lab, run, within


@pytest.fixture(scope="module")
def running(bare: Lab) -> Lab:
    bare.up()
    return bare


def traces(*words: str) -> dict[str, list[str]]:
    """Everything on this machine that could be left over and carries one of these words."""
    folders = ("/run/duet-lab", "/etc/cni/net.d", "/var/lib/cni", str(ROOT / "build/lab"))
    listings = {
        "links": run("ip", "-br", "link"),
        "routes": run("ip", "route", "show", "table", "all"),
        "filter rules": run("iptables", "-S"),
        "nat rules": run("iptables", "-t", "nat", "-S"),
        "containers": run("podman", "ps", "--all", "--format", "{{.Names}}"),
        "networks": run("podman", "network", "ls"),
        "files": "\n".join(str(path) for folder in folders for path in Path(folder).glob("*")),
    }
    found = {
        kind: [line for line in text.splitlines() if any(word in line for word in words)]
        for kind, text in listings.items()
    }
    return {kind: lines for kind, lines in found.items() if lines}


def greets(address: str) -> bool:
    """Whether an SSH server answers there."""
    try:
        with socket.create_connection((address, 22), 1) as connection:
            connection.settimeout(1)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--name", "Bad_Name", "must be 1 to 11 small letters"),
        ("--subnet", "{prefix}1/24", "is no IPv4 network"),
        ("--subnet", "{prefix}0/30", "has a prefix of 30 bits"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(bare: Lab, option: str, value: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=f"ended with 1: lab: .*{sentence}"):
        bare.manage("up", option, value.format(prefix=bare.prefix))
    assert traces(bare.name, bare.prefix) == {}


def test_starting_it_again_changes_nothing(running: Lab) -> None:
    containers = ("podman", "ps", "--filter", f"name={running.name}-", "--format", "{{.ID}} {{.StartedAt}}")
    before = run(*containers)
    assert len(before.splitlines()) == 3
    running.up()
    assert run(*containers) == before
    running.manage("status")


def test_a_network_that_is_taken_is_named(running: Lab) -> None:
    other = replace(running, name=f"{running.name}c", subnet=f"{running.prefix}64/26")
    with pytest.raises(CommandError, match=f"{other.subnet} overlaps .*choose one with --subnet"):
        other.up()
    assert traces(other.name) == {}


def test_servers_know_each_other_by_name(running: Lab) -> None:
    names = running.sh("repository", f"getent hosts {running.endpoint} node1").split()
    node1 = [running.address("node1"), "node1.lab.test", "node1"]
    assert names == [running.endpoint, "backup.lab.test", "backup", *node1]


def test_an_address_moves_between_nodes(running: Lab) -> None:
    endpoint = running.endpoint
    for node in NODES:
        running.sh(node, f"ip address add {endpoint}/24 dev eth0 && arping -q -c 1 -U -I eth0 {endpoint}")
        assert greets(endpoint)
        running.sh("repository", f"ping -q -c 1 -W 1 {endpoint}")
        own = running.sh(node, "cat /sys/class/net/eth0/address")
        assert own in running.sh("repository", f"ip neighbour show {endpoint}")
        running.sh(node, f"ip address delete {endpoint}/24 dev eth0")


def test_a_node_comes_back_from_a_power_cut_with_its_disk(running: Lab) -> None:
    running.sh("node1", "echo kept > /root/kept")
    running.power_off("node1")
    assert not greets(running.address("node1"))
    running.power_on("node1")
    within(10, lambda: greets(running.address("node1")), "node1 greets")
    assert running.sh("node1", "cat /root/kept") == "kept"
    assert "node2.lab.test" in running.sh("node1", "getent hosts node2")


def test_a_node_that_podman_has_lost_is_said(running: Lab) -> None:
    container = f"{running.name}-node2"
    processes = run("podman", "inspect", "--format", "{{.State.ConmonPid}} {{.State.Pid}}", container)
    # Its watcher first, so that nobody tells podman.
    for process in processes.split():
        os.kill(int(process), signal.SIGKILL)
    gone = [Path(f"/proc/{process}") for process in processes.split()]
    within(10, lambda: not any(path.exists() for path in gone), "its processes are gone")
    assert run("podman", "inspect", "--format", "{{.State.Status}}", container).strip() == "running"
    with pytest.raises(CommandError, match=rf"processes of {container} are gone.*down --name {running.name}"):
        running.up()


def test_removing_it_leaves_nothing_behind(running: Lab) -> None:
    there = {"links", "routes", "filter rules", "nat rules", "containers", "networks", "files"}
    assert set(traces(running.name, running.prefix)) == there
    running.down()
    assert traces(running.name, running.prefix) == {}
