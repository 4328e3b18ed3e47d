"""A lab of real servers on one machine: `python3 lab/lab.py --help`, and README.md beside this file."""

from __future__ import annotations

import argparse
import ipaddress
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import _host
import _image
import _inventory
import _network
import _nodes
from _spec import DEFAULT_NAME, DEFAULT_SUBNET, Lab, LabError, Node, lab_from


def up(lab: Lab, options: argparse.Namespace) -> int:
    """Start the lab, from whatever state it is in."""
    begin = time.monotonic()
    # What the caller can have got wrong comes before anything changes.
    if _network.existing_subnet(lab) is None:
        _network.check_free(lab)
    _host.install_requirements()
    _nodes.check_ours(lab, options.packages)
    _image.build(["node", "repository"] if options.packages else [])
    _network.create(lab)
    _nodes.prepare_keys(lab)
    inventory = _inventory.write(lab)
    _start(lab, lab.nodes, options.packages)
    for node in lab.nodes:
        print(f"lab: {node.container:<22} {node.address}")
    print(f"lab: {lab.name} is up after {time.monotonic() - begin:.1f} s; inventory {inventory}")
    return 0


def reset(lab: Lab, options: argparse.Namespace) -> int:
    """Replace nodes by blank ones; the network and the other nodes stay."""
    nodes = [lab.node(word) for word in options.nodes] or lab.nodes
    if _network.existing_subnet(lab) is None:
        raise LabError(f"there is no lab {lab.name}: start it with `python3 lab/lab.py up --name {lab.name}`")
    packages = options.packages or any(_nodes.state(node).flavour not in ("", "blank") for node in lab.nodes)
    _image.build(["node", "repository"] if packages else [])
    _nodes.remove(nodes)
    _start(lab, nodes, packages)
    return 0


def _start(lab: Lab, nodes: list[Node], packages: bool) -> None:
    with _host.phase(f"starting {' '.join(node.container for node in nodes)}"):
        with ThreadPoolExecutor(len(nodes)) as pool:
            list(pool.map(lambda node: _nodes.start(lab, node, packages), nodes))
        _nodes.wait_ready(lab, nodes)


def down(lab: Lab, options: argparse.Namespace) -> int:
    """Remove the lab's nodes, network, keys and firewall rules."""
    if shutil.which("podman") is not None:
        with _host.phase(f"removing {lab.name}"):
            _nodes.remove_all(lab)
            _network.remove(lab)
        if options.images:
            with _host.phase("removing the images"):
                _image.remove()
    shutil.rmtree(lab.directory, ignore_errors=True)
    if lab.directory.parent.is_dir() and not any(lab.directory.parent.iterdir()):
        lab.directory.parent.rmdir()
    return 0


def image(_lab: Lab, _options: argparse.Namespace) -> int:
    """Make the images that are missing or of another recipe."""
    _host.install_requirements()
    _image.build(["node", "repository"])
    return 0


def inventory(lab: Lab, _options: argparse.Namespace) -> int:
    """Write the lab's inventory and print its path."""
    print(_inventory.write(lab))
    return 0


def status(lab: Lab, _options: argparse.Namespace) -> int:
    """Print each node's state; 0 only when all are up."""
    healthy = True
    for node in lab.nodes:
        container = _nodes.state(node)
        running = container.status == "running"
        boot = _nodes.systemd_state(node) if running else "-"
        ssh = "ssh" if running and _nodes.answers_ssh(node.address, 0.5) else "no ssh"
        healthy &= (boot, ssh) == ("running", "ssh")
        columns = f"{container.status:<9} {container.flavour:<11} {boot:<10} {ssh}"
        print(f"{node.container:<22} {node.address:<15} {columns}")
    return 0 if healthy else 1


COMMANDS: dict[str, Callable[[Lab, argparse.Namespace], int]] = {
    "image": image,
    "up": up,
    "down": down,
    "reset": reset,
    "status": status,
    "inventory": inventory,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__)
        command.add_argument("--name", default=DEFAULT_NAME, help="the lab's name (%(default)s)")
        command.add_argument("--subnet", help=f"its IPv4 subnet ({DEFAULT_SUBNET}, or the running lab's)")
        if name in ("up", "reset"):
            command.add_argument("--packages", action="store_true", help="with packages installed, still blank")
        if name == "reset":
            command.add_argument("nodes", nargs="*", metavar="NODE", help="node1, node2 or repository (all)")
        if name == "down":
            command.add_argument("--images", action="store_true", help="remove the images, too")
    return parser.parse_args()


def _find_lab(options: argparse.Namespace) -> Lab:
    """The lab that the options mean: a running one keeps its subnet."""
    lab = lab_from(options.name, options.subnet or DEFAULT_SUBNET)
    existing = _network.existing_subnet(lab)
    if existing is None:
        return lab
    if options.subnet is not None and ipaddress.IPv4Network(options.subnet) != existing:
        raise LabError(
            f"the lab {lab.name} is there with the subnet {existing}, and {options.subnet} was asked for: "
            f"`python3 lab/lab.py down --name {lab.name}` first, or leave --subnet as it was"
        )
    return Lab(lab.name, existing)


def main() -> int:
    options = _arguments()
    try:
        if options.command != "inventory":
            _host.require_root()
        return COMMANDS[options.command](_find_lab(options), options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nlab: interrupted; run the same command again, or `down` to remove what is there", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
