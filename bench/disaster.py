"""The primary loses its power, and comes back: what is measured of failovers."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass

from measure.playbook import ROOT
from measure.servers import ServerError, Servers

BOOT_S = 60.0


@dataclass(frozen=True)
class Power:
    """The switches of a lab's nodes, on this machine."""

    lab: str

    def cut(self, node: str) -> None:
        """First the network, then the machine: nobody is told anything, as with a real power cut."""
        init = self._podman("inspect", "--format", "{{.State.Pid}}", self._container(node)).strip()
        subprocess.run(["nsenter", "-t", init, "-n", "ip", "link", "set", "eth0", "down"], check=True)
        self._podman("kill", "--signal", "KILL", self._container(node))

    def on(self, node: str) -> None:
        self._podman("start", self._container(node))

    def run(self, node: str, script: str) -> None:
        """A shell script on a node, without SSH: an old connection leads nowhere, and a new one costs time."""
        self._podman("exec", self._container(node), "sh", "-c", script)

    def _container(self, node: str) -> str:
        return f"{self.lab}-{node}"

    def _podman(self, *words: str) -> str:
        environment = os.environ | {"CONTAINERS_CONF": str(ROOT / "lab" / "containers.conf")}
        done = subprocess.run(["podman", *words], capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise ServerError(f"podman {words[0]}: {(done.stderr or done.stdout).strip()[-400:]}")
        return done.stdout


def await_answer(servers: Servers, address: str) -> None:
    """Wait until PostgreSQL answers on a node that boots."""
    _await(servers, address, "SELECT 1;", "1")


def await_streaming(servers: Servers, address: str) -> None:
    """Wait until a node that boots follows; its primary may still believe in the session from before."""
    _await(servers, address, "SELECT status FROM pg_stat_wal_receiver;", "streaming")


def _await(servers: Servers, address: str, query: str, wanted: str) -> None:
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline:
        with suppress(ServerError):
            if servers.sql(address, query) == wanted:
                return
        time.sleep(0.2)
    raise ServerError(f"{address} does not answer '{wanted}' to {query} {BOOT_S:.0f} s after its power came back")


def rejoin(power: Power, servers: Servers, node: str, primary: str) -> float:
    """Switch a former primary on, which rejoins by itself; seconds until the new primary streams to it again.

    A server with WAL of its own streams for moments, too, and comes no further than to where the two parted.
    """
    position = servers.sql(primary, "SELECT pg_current_wal_lsn();")
    query = f"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND flush_lsn >= '{position}';"
    began = time.monotonic()
    power.on(node)
    while servers.sql(primary, query) != "1":
        if time.monotonic() - began > BOOT_S:
            raise ServerError(f"{node} has not rejoined {BOOT_S:.0f} s after its power came back")
        time.sleep(0.05)
    return time.monotonic() - began
