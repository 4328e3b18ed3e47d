"""What a lab is: its name, addresses, nodes and files. Plain data, no I/O."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

DEFAULT_NAME = "duet"
DEFAULT_SUBNET = "198.18.0.0/24"
DOMAIN = "lab.test"
ENDPOINT_HOST = 10
HOSTS = {"node1": 11, "node2": 12, "repository": 20}
BUILD = Path(__file__).resolve().parent.parent / "build"

# A bridge's name holds 15 characters, and "lab-" takes four.
NAME_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,10}")
PREFIX_RANGE = range(16, 28)


class LabError(Exception):
    """The lab cannot go on. The message says what was found, what is needed and what to do."""


@dataclass(frozen=True)
class Node:
    """One server of the lab: `host` is its name within the lab, `container` its name in podman."""

    host: str
    container: str
    address: str
    mac: str

    @property
    def names(self) -> str:
        """The words that follow the address in /etc/hosts, the canonical name first."""
        return f"{self.host}.{DOMAIN} {self.host}"


@dataclass(frozen=True)
class Lab:
    """A lab by its name and IPv4 subnet; everything else follows from these two."""

    name: str
    subnet: ipaddress.IPv4Network

    @property
    def directory(self) -> Path:
        return BUILD / "lab" / self.name

    @property
    def key(self) -> Path:
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def bridge(self) -> str:
        return f"lab-{self.name}"

    @property
    def network(self) -> str:
        return f"duet-lab-{self.name}"

    def address(self, host: int) -> str:
        return str(self.subnet.network_address + host)

    @property
    def gateway(self) -> str:
        return self.address(1)

    @property
    def endpoint(self) -> str:
        return self.address(ENDPOINT_HOST)

    @property
    def nodes(self) -> list[Node]:
        return [self._node(host, number) for host, number in HOSTS.items()]

    def node(self, host: str) -> Node:
        """The node of that name. Raises LabError for any other word."""
        for node in self.nodes:
            if host in (node.host, node.container):
                return node
        raise LabError(f"the lab has no node {host!r}: name one of {', '.join(HOSTS)}")

    def _node(self, host: str, number: int) -> Node:
        address = self.address(number)
        # Fixed, and made from the address: no stale neighbour entry after a restart, no clash between labs.
        mac = "02:d0:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)
        return Node(host, f"{self.name}-{host}", address, mac)


def lab_from(name: str, subnet: str) -> Lab:
    """Check both words and make a Lab. Raises LabError for a name or a subnet that cannot serve."""
    if not NAME_PATTERN.fullmatch(name):
        raise LabError(
            f"the lab's name is {name!r}; it must be 1 to 11 small letters, digits or dashes and begin with "
            "a letter: choose another with --name"
        )
    try:
        network = ipaddress.IPv4Network(subnet)
    except ValueError as error:
        raise LabError(
            f"the subnet {subnet!r} is no IPv4 network ({error}): give one like --subnet {DEFAULT_SUBNET}"
        ) from error
    if network.prefixlen not in PREFIX_RANGE:
        raise LabError(
            f"the subnet {subnet} has a prefix of {network.prefixlen} bits; the lab needs "
            f"{PREFIX_RANGE.start} to {PREFIX_RANGE.stop - 1}: give one like --subnet {DEFAULT_SUBNET}"
        )
    return Lab(name, network)
