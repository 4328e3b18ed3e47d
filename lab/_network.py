"""The lab's network: one bridge, described to podman as a CNI network, and three firewall rules.

The description is written here and not by `podman network create`, which sets hairpin mode (a node would
hear its own gratuitous ARP) and opens the firewall for the nodes' first addresses only, not for one that
moves between them.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _host import run
from _spec import Lab, LabError

CNI_DIRECTORY = Path("/etc/cni/net.d")
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
ROUTES = Path("/proc/net/route")
# On a file system that a reboot empties, like the addresses and the switch themselves.
STATE = Path("/run/duet-lab")
FORWARD_WAS_OFF = STATE / "ip_forward_was_off"


def description_path(lab: Lab) -> Path:
    return CNI_DIRECTORY / f"{lab.network}.conflist"


def existing_subnet(lab: Lab) -> ipaddress.IPv4Network | None:
    """The subnet of the lab's network if it is there."""
    try:
        description = json.loads(description_path(lab).read_text())
        return ipaddress.IPv4Network(description["plugins"][0]["ipam"]["ranges"][0][0]["subnet"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, LookupError, TypeError) as error:
        raise LabError(
            f"{description_path(lab)} is not as the lab writes it ({error}): remove that file and try again"
        ) from error


def check_free(lab: Lab) -> None:
    """Raise LabError if anything but this lab uses the subnet. Changes nothing."""
    for path in CNI_DIRECTORY.glob("*.conflist"):
        if path != description_path(lab) and any(lab.subnet.overlaps(subnet) for subnet in _subnets(path)):
            raise LabError(
                f"the subnet {lab.subnet} overlaps that of the podman network in {path}; the lab needs a subnet "
                "of its own: choose one with --subnet, or remove that network"
            )
    for interface, subnet in _routes():
        if interface != lab.bridge and subnet.overlaps(lab.subnet):
            raise LabError(
                f"the subnet {lab.subnet} overlaps {subnet}, which this machine reaches through {interface}; "
                "the lab needs a subnet of its own: choose one with --subnet, or remove what uses it"
            )


def _routes() -> list[tuple[str, ipaddress.IPv4Network]]:
    """Interface and destination of the machine's routes but the default one, read without any tool."""
    found = []
    for line in ROUTES.read_text().splitlines()[1:]:
        interface, destination, _, _, _, _, _, mask, *_ = line.split()
        # Eight hexadecimal digits each, in the machine's byte order.
        address, bits = (int(word, 16).to_bytes(4, sys.byteorder) for word in (destination, mask))
        if any(bits):
            netmask = str(ipaddress.IPv4Address(bits))
            found.append((interface, ipaddress.IPv4Network(f"{ipaddress.IPv4Address(address)}/{netmask}")))
    return found


def _subnets(path: Path) -> list[ipaddress.IPv4Network]:
    """The IPv4 subnets that a CNI description names, in whatever plugin."""
    found = re.findall(r'"subnet":\s*"([0-9./]+)"', path.read_text(errors="replace"))
    return [ipaddress.IPv4Network(subnet, strict=False) for subnet in found]


def create(lab: Lab) -> None:
    """Describe the network to podman and open the firewall for it. Does nothing that is done already."""
    STATE.mkdir(exist_ok=True)
    if IP_FORWARD.read_text().strip() == "0":
        FORWARD_WAS_OFF.touch()
        IP_FORWARD.write_text("1\n")
    path = description_path(lab)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_description(lab), indent=2) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    for rule in _rules(lab):
        if run("iptables", *rule("-C"), check=False).returncode != 0:
            run("iptables", *rule("-I"))


def remove(lab: Lab) -> None:
    """Take back everything that `create` and podman made. The lab's containers must be gone."""
    for rule in _rules(lab):
        while run("iptables", *rule("-C"), check=False).returncode == 0:
            run("iptables", *rule("-D"))
    run("ip", "link", "delete", lab.bridge, check=False)
    description_path(lab).unlink(missing_ok=True)
    shutil.rmtree(STATE / lab.network, ignore_errors=True)
    # Forwarding goes off again with the last bridge, if it was a lab that turned it on.
    bridges = run("ip", "-json", "link", "show", "type", "bridge").stdout
    if FORWARD_WAS_OFF.exists() and not json.loads(bridges or "[]"):
        IP_FORWARD.write_text("0\n")
        FORWARD_WAS_OFF.unlink()
    if STATE.is_dir() and not any(STATE.iterdir()):
        STATE.rmdir()


def _description(lab: Lab) -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": lab.bridge,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": False,
        "mtu": _uplink_mtu(),
        "ipam": {
            "type": "host-local",
            "dataDir": str(STATE),
            "routes": [{"dst": "0.0.0.0/0"}],
            "ranges": [[{"subnet": str(lab.subnet), "gateway": lab.gateway}]],
        },
        "capabilities": {"ips": True},
    }
    # tuning brings sysctls and link settings; without a second plugin podman refuses the list.
    return {"cniVersion": "0.4.0", "name": lab.network, "plugins": [bridge, {"type": "tuning"}]}


def _uplink_mtu() -> int:
    """The MTU of the way out, at most 1500: a larger packet from a node would be lost there."""
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "default").stdout or "[]")
    if not routes:
        return 1500
    link = json.loads(run("ip", "-json", "link", "show", "dev", routes[0]["dev"]).stdout)[0]
    return min(1500, int(link["mtu"]))


def _rules(lab: Lab) -> list[Callable[[str], list[str]]]:
    """iptables rules, each a function of the action: -C, -I or -D.

    Frames between two nodes pass FORWARD, too, where br_netfilter is on.
    """
    subnet = str(lab.subnet)
    comment = ["-m", "comment", "--comment", lab.network]

    return [
        lambda action: [action, "FORWARD", "-s", subnet, *comment, "-j", "ACCEPT"],
        lambda action: [action, "FORWARD", "-d", subnet, *comment, "-j", "ACCEPT"],
        lambda action: [
            *("-t", "nat", action, "POSTROUTING", "-s", subnet, "!", "-d", subnet),
            *(*comment, "-j", "MASQUERADE"),
        ],
    ]
