"""A cluster whose nodes and endpoint have IPv6 addresses: the same playbooks, the same proof from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.playbook import Outcome
from tests.scenarios.support import NODES, PEER, Lab, run, within

NETWORK = "fd00:d0e7::"
ENDPOINT = f"{NETWORK}10"
HOST_NUMBERS = {"node1": 11, "node2": 12, "repository": 20}
CONTROL_NODE = f"{NETWORK}1"


@dataclass(frozen=True)
class Six:
    """The lab, with IPv6 addresses beside its own."""

    lab: Lab
    inventory: Path

    def play(self, operation: str, *options: str) -> Outcome:
        return self.lab.play(operation, *options, inventory=self.inventory)

    def address(self, host: str) -> None:
        """Give a host its address, which is gone after a power cut."""
        self.lab.sh(host, f"ip address replace {NETWORK}{HOST_NUMBERS[host]}/64 dev eth0 nodad")

    def held_by(self, *nodes: str) -> list[str]:
        """Which of these nodes, or of both, have the endpoint."""
        return [
            node
            for node in nodes or NODES
            if not self.lab.fails(node, f"ip -6 address show | grep -q 'inet6 {ENDPOINT}/'")
        ]


def six_addresses(document: dict[str, Any]) -> None:
    group = document["backup_ha"]["children"]["duet"]
    for host, variables in group["hosts"].items():
        variables["backup_ha_node_address"] = f"{NETWORK}{HOST_NUMBERS[host]}"
    group["vars"] |= {"backup_ha_endpoint_address": ENDPOINT, "backup_ha_endpoint_name": ""}


@pytest.fixture(scope="module")
def six(blank: Lab) -> Iterator[Six]:
    bridge = f"lab-{blank.name}"
    run("ip", "address", "replace", f"{CONTROL_NODE}/64", "dev", bridge, "nodad")
    made = Six(blank, blank.write_inventory("six", six_addresses))
    for host in HOST_NUMBERS:
        made.address(host)
    yield made
    run("ip", "address", "del", f"{CONTROL_NODE}/64", "dev", bridge)
    blank.reset(*NODES)


def test_an_endpoint_that_somebody_has_is_refused(six: Six) -> None:
    six.lab.sh("repository", f"ip address add {ENDPOINT}/64 dev eth0 nodad")
    outcome = six.play("assemble")
    six.lab.sh("repository", f"ip address del {ENDPOINT}/64 dev eth0")
    assert outcome.code != 0 and f"The endpoint {ENDPOINT} is already in use" in outcome.said, outcome
    assert sum(outcome.changed.values()) == 0, outcome


def test_two_blank_servers_become_a_healthy_cluster(six: Six) -> None:
    six.play("assemble").check()
    status = six.play("status")
    assert (status.code, status.verdict) == (0, "healthy"), status
    assert six.held_by() == ["node1"]
    again = six.play("assemble").check()
    assert again.changed == {"node1": 0, "node2": 0}, again


def director_answers(six: Six, node: str) -> None:
    """A console asks through the endpoint, from the other node."""
    said = six.lab.sh(PEER[node], "echo 'status director' | timeout 20 bconsole")
    assert f"Connecting to Director {ENDPOINT}:9101" in said and "node1-dir Version" in said, said


@pytest.mark.parametrize("primary", ["node2", "node1"])
def test_a_switchover_moves_the_endpoint(six: Six, primary: str) -> None:
    outcome = six.play("switchover").check()
    assert f"A row written through {ENDPOINT} from this control node arrived there" in outcome.said, outcome
    assert six.held_by() == [primary]
    within(20, lambda: six.play("status").code == 0, "a healthy cluster")
    director_answers(six, primary)


def test_a_failover_and_the_way_back(six: Six) -> None:
    lab = six.lab
    lab.power_off("node1")
    outcome = six.play("failover", "-e", "backup_ha_failover_confirmed=node1", "-e", "backup_ha_primary_is_off=node1")
    assert outcome.code == 0 and six.held_by("node2") == ["node2"], outcome
    lab.power_on("node1")
    six.address("node1")
    within(30, lambda: six.play("rejoin").code == 0, "the former primary follows")
    assert lab.writers() == ["node2"] and six.held_by() == ["node2"]
    within(20, lambda: six.play("status").code == 0, "a healthy cluster")
