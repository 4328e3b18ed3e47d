"""The lab's servers: containers that boot systemd and are reached by SSH."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _image
from _host import podman, run
from _spec import DOMAIN, Lab, LabError, Node

LABEL = "test.lab.name"
FLAVOUR_LABEL = "test.lab.flavour"
BOOT_TIMEOUT_S = 60.0
PERSONALISE = Path(__file__).resolve().parent / "image" / "personalise.sh"


@dataclass(frozen=True)
class State:
    """What is true of a node: `status` is running, exited, paused … as podman says; missing, or lost.

    A lost one was killed together with the process that watches it, as when the machine goes down: podman, which
    keeps its state on disk, calls it running for ever, and neither starts nor stops it.
    """

    status: str
    flavour: str = ""
    lab: str = ""


def state(node: Node) -> State:
    found = run("podman", "container", "inspect", node.container, check=False)
    if found.returncode != 0:
        return State("missing")
    container = json.loads(found.stdout)[0]
    labels = container["Config"]["Labels"] or {}
    status = "lost" if _is_lost(container) else container["State"]["Status"]
    return State(status, labels.get(FLAVOUR_LABEL, ""), labels.get(LABEL, ""))


def _is_lost(container: dict[str, Any]) -> bool:
    """Whether podman names a first process that is not this container's (any more)."""
    if container["State"]["Status"] not in ("running", "paused", "stopping"):
        return False
    try:
        groups = Path(f"/proc/{container['State']['Pid']}/cgroup").read_text()
    except OSError:
        return True
    return container["Id"] not in groups


def flavour(node: Node, packages: bool) -> str:
    """The image a node is made of."""
    if not packages:
        return "blank"
    return "repository" if node.host == "repository" else "node"


def check_ours(lab: Lab, packages: bool) -> None:
    """Raise LabError if a container of that name is another's, or of the other kind. Changes nothing."""
    for node in lab.nodes:
        found = state(node)
        if found.status == "missing":
            continue
        if found.lab != lab.name:
            raise LabError(
                f"a container {node.container} is there that this lab did not make; the lab needs that name: "
                "remove the container, or choose another name with --name"
            )
        if found.flavour != flavour(node, packages):
            there, asked = ("packages", "blank nodes") if not packages else ("blank nodes", "packages")
            raise LabError(
                f"the lab {lab.name} is there with {there}, and {asked} were asked for: "
                f"`python3 lab/lab.py down --name {lab.name}` first, or give the option --packages as before"
            )


def prepare_keys(lab: Lab) -> None:
    """Make the login key, each node's host key and the known_hosts file, as far as they are missing."""
    (lab.directory / "host_keys").mkdir(parents=True, exist_ok=True)
    _make_key(lab.key, f"lab {lab.name}")
    lines = []
    for node in lab.nodes:
        path = _host_key(lab, node)
        _make_key(path, node.host)
        kind, value, *_ = path.with_suffix(".pub").read_text().split()
        lines.append(f"{node.address},{node.host}.{DOMAIN} {kind} {value}\n")
    lab.known_hosts.write_text("".join(lines))


def start(lab: Lab, node: Node, packages: bool) -> str:
    """Bring one node up, from whatever state. Returns what was done, or "" for nothing."""
    status = state(node).status
    if status == "running":
        return ""
    if status == "lost":
        raise LabError(
            f"the processes of {node.container} are gone and podman takes them for running, as after a restart of "
            f"this machine: remove the lab with `python3 lab/lab.py down --name {lab.name}`, then start it again"
        )
    if status == "paused":
        podman("unpause", node.container)
        return "unpaused"
    if status == "missing":
        _create(lab, node, packages)
    podman("start", node.container)
    return "created" if status == "missing" else "started"


def remove(nodes: list[Node]) -> None:
    _remove([node.container for node in nodes])


def remove_all(lab: Lab) -> None:
    """Remove every container that carries the lab's label."""
    _remove(podman("ps", "--all", "--quiet", "--filter", f"label={LABEL}={lab.name}").split())


def _remove(containers: list[str]) -> None:
    command = ("podman", "rm", "--force", "--volumes", "--ignore", "--time", "0", *containers)
    # Of a lost container the first attempt fails, and it is by failing that podman learns of the loss.
    if containers and run(*command, check=False).returncode != 0:
        run(*command)


def wait_ready(lab: Lab, nodes: list[Node]) -> None:
    """Wait until each node has booted and lets root in over SSH. Raises LabError naming who did not."""
    with ThreadPoolExecutor(len(nodes)) as pool:
        failures = [text for text in pool.map(lambda node: _wait_one(lab, node), nodes) if text]
    if failures:
        raise LabError("; ".join(failures))


def systemd_state(node: Node) -> str:
    """What `systemctl is-system-running` says in a node: running, degraded, starting …"""
    return podman("exec", node.container, "systemctl", "is-system-running", check=False) or "unreachable"


def answers_ssh(address: str, timeout_s: float = 1.0) -> bool:
    """Whether an SSH server greets on that address."""
    try:
        with socket.create_connection((address, 22), timeout_s) as connection:
            connection.settimeout(timeout_s)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def ssh_command(lab: Lab, node: Node, *words: str) -> list[str]:
    """An ssh command line for one node, with the lab's key and known hosts."""
    hosts = ["-o", f"UserKnownHostsFile={lab.known_hosts}", "-o", "StrictHostKeyChecking=yes"]
    flags = ["-F", "none", "-i", str(lab.key), *hosts, "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
    return ["ssh", *flags, f"root@{node.address}", *words]


def _wait_one(lab: Lab, node: Node) -> str:
    """Wait for one node; returns "" or a sentence about what is wrong."""
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    boot = ""
    while time.monotonic() < deadline:
        boot = systemd_state(node)
        if boot in ("running", "degraded") and answers_ssh(node.address):
            break
        time.sleep(0.1)
    if boot == "degraded":
        list_failed = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]
        units = [line.split()[0] for line in podman("exec", node.container, *list_failed).splitlines()]
        journal = f"podman exec {node.container} journalctl -u {(units or ['UNIT'])[0]}"
        return f"{node.container} booted, but failed: {' '.join(units)}; see `{journal}`"
    if boot != "running":
        seen = f"systemd says {boot!r}, podman says {state(node).status!r}"
        console = podman("logs", "--tail", "3", node.container, check=False)
        return f"{node.container} has not booted within {BOOT_TIMEOUT_S:.0f} s: {seen}; its console ends: {console!r}"
    podman("exec", "--interactive", node.container, "sh", "-s", data=PERSONALISE.read_bytes())
    login = run(*ssh_command(lab, node, "true"), check=False)
    if login.returncode != 0:
        return f"{node.container} ({node.address}) refuses root over SSH: {login.stderr.strip()}"
    return ""


def _create(lab: Lab, node: Node, packages: bool) -> None:
    kind = flavour(node, packages)
    labels = ["--label", f"{LABEL}={lab.name}", "--label", f"{FLAVOUR_LABEL}={kind}"]
    network = ["--network", lab.network, "--ip", node.address, "--mac-address", node.mac]
    # --no-hosts: /etc/hosts is a file on the node's own disk, as on a server, and not podman's mount.
    system = ["--systemd=always", "--cap-add", "NET_ADMIN,NET_RAW", "--no-hosts", "--shm-size", "1g"]
    names = ["--name", node.container, "--hostname", node.host]
    podman("create", *names, *labels, *network, *system, _image.tag(kind), "/sbin/init")
    podman("cp", "-", f"{node.container}:/", data=_own_files(lab, node))


def _own_files(lab: Lab, node: Node) -> bytes:
    """A tar archive of what one node does not share with the others."""
    host_key = _host_key(lab, node)
    files = {
        "etc/hosts": (_hosts(lab), 0o644),
        "etc/mailname": (f"{node.host}.{DOMAIN}\n".encode(), 0o644),
        "root/.ssh/authorized_keys": (lab.key.with_suffix(".pub").read_bytes(), 0o600),
        "etc/ssh/ssh_host_ed25519_key": (host_key.read_bytes(), 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": (host_key.with_suffix(".pub").read_bytes(), 0o644),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        directory = tarfile.TarInfo("root/.ssh")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(directory)
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), mode, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _hosts(lab: Lab) -> bytes:
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback", ""]
    lines += [f"{node.address} {node.names}" for node in lab.nodes]
    lines += [f"{lab.endpoint} backup.{DOMAIN} backup", ""]
    return "\n".join(lines).encode()


def _host_key(lab: Lab, node: Node) -> Path:
    return lab.directory / "host_keys" / node.host


def _make_key(path: Path, comment: str) -> None:
    if not path.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path)
