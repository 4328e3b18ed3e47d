"""Prove on a lab of its own what every other test takes for granted: `python3 tests/lab/smoke.py`, as root, 20 s."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "labsmoke"
PREFIX = "198.18.99"
ENVIRONMENT = os.environ | {"CONTAINERS_CONF": str(ROOT / "lab/containers.conf"), "LC_ALL": "C"}


def run(*argv: str) -> str:
    done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def lab(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "lab/lab.py"), *argv]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def inside(node: str, *argv: str) -> str:
    return run("podman", "exec", f"{NAME}-{node}", *argv)


def traces() -> dict[str, list[str]]:
    """Everything on this machine that could be left over and carries the lab's name or subnet."""
    listings = {
        "links": run("ip", "-br", "link"),
        "routes": run("ip", "route", "show", "table", "all"),
        "filter rules": run("iptables", "-S"),
        "nat rules": run("iptables", "-t", "nat", "-S"),
        "containers": run("podman", "ps", "--all", "--format", "{{.Names}}"),
        "networks": run("podman", "network", "ls"),
        "files": "\n".join(
            str(path)
            for place in ("/run/duet-lab", "/etc/cni/net.d", "/var/lib/cni", str(ROOT / "build/lab"))
            for path in Path(place).glob("*")
        ),
    }
    found = {
        kind: [line for line in text.splitlines() if NAME in line or f"{PREFIX}." in line]
        for kind, text in listings.items()
    }
    return {kind: lines for kind, lines in found.items() if lines}


def greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), 1) as connection:
            connection.settimeout(1)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def within(seconds: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def check_refusals() -> None:
    for words, sentence in {
        ("--subnet", "127.0.0.0/24", "--name", "Bad_Name"): "must be 1 to 11 small letters",
        ("--subnet", "198.18.99.1/24"): "is no IPv4 network",
        ("--subnet", "198.18.99.0/30"): "has a prefix of 30 bits",
    }.items():
        refused = lab("up", "--name", NAME, *words)
        assert refused.returncode == 1, refused
        assert sentence in refused.stderr, refused.stderr
    assert not traces(), traces()


def check_up() -> None:
    for _ in range(2):
        up = lab("up", "--name", NAME, "--subnet", f"{PREFIX}.0/24")
        assert up.returncode == 0, up.stderr
    assert lab("status", "--name", NAME).returncode == 0
    taken = lab("up", "--name", "labother", "--subnet", f"{PREFIX}.64/26")
    assert taken.returncode == 1, taken
    assert "overlaps" in taken.stderr, taken.stderr
    names = inside("repository", "getent", "hosts", f"{PREFIX}.10", "node1").split()
    assert names == [f"{PREFIX}.10", "backup.lab.test", "backup", f"{PREFIX}.11", "node1.lab.test", "node1"]


def check_address_moves() -> None:
    endpoint = f"{PREFIX}.10"
    for node in ("node1", "node2"):
        inside(node, "ip", "address", "add", f"{endpoint}/24", "dev", "eth0")
        inside(node, "arping", "-q", "-c", "1", "-U", "-I", "eth0", endpoint)
        assert greets(endpoint)
        inside("repository", "ping", "-q", "-c", "1", "-W", "1", endpoint)
        own = inside(node, "cat", "/sys/class/net/eth0/address").strip()
        assert own in inside("repository", "ip", "neighbour", "show", endpoint)
        inside(node, "ip", "address", "delete", f"{endpoint}/24", "dev", "eth0")


def check_power_cut() -> None:
    address = f"{PREFIX}.11"
    inside("node1", "sh", "-c", "echo kept > /root/kept")
    run("podman", "kill", "--signal", "KILL", f"{NAME}-node1")
    assert not greets(address)
    run("podman", "start", f"{NAME}-node1")
    within(10, lambda: greets(address))
    assert inside("node1", "cat", "/root/kept") == "kept\n"
    assert "node2.lab.test" in inside("node1", "getent", "hosts", "node2")


def main() -> int:
    lab("down", "--name", NAME)
    try:
        for check in (check_refusals, check_up, check_address_moves, check_power_cut):
            begin = time.monotonic()
            check()
            print(f"{check.__name__} ok, {time.monotonic() - begin:.1f} s", flush=True)
    finally:
        down = lab("down", "--name", NAME)
    assert down.returncode == 0, down.stderr
    assert not traces(), traces()
    print("check_down ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
