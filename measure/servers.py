"""The servers of one cluster, as its inventory names them, and commands on them over SSH."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class ServerError(Exception):
    """A command failed on a server; the message names the server, the command and its last words."""


@dataclass(frozen=True)
class Servers:
    """Addresses by inventory name, and how to log in."""

    inventory: Path
    cluster: str
    nodes: dict[str, str]
    repository: str  # the address of the host that keeps the backups
    endpoint: str
    endpoint_name: str
    ssh: tuple[str, ...]

    @classmethod
    def of(cls, inventory: Path) -> Servers:
        """Read a lab's inventory, of the shape of lab/inventory.yml. KeyError where it is of another."""
        tree = yaml.safe_load(inventory.read_text(encoding="utf-8"))
        ((cluster, group),) = tree["backup_ha"]["children"].items()
        ((_, repository),) = tree["repositories"]["hosts"].items()
        return cls(
            inventory=inventory,
            cluster=cluster,
            nodes={name: str(host["ansible_host"]) for name, host in group["hosts"].items()},
            repository=str(repository["ansible_host"]),
            endpoint=str(group["vars"]["backup_ha_endpoint_address"]),
            endpoint_name=str(group["vars"]["backup_ha_endpoint_name"]),
            ssh=_ssh(tree["all"]["vars"], inventory),
        )

    def run(self, address: str, argv: Sequence[str], stdin: str = "", timeout: float = 60.0) -> str:
        """Run a command on a server and return what it wrote to standard output."""
        command = [*self.ssh, f"root@{address}", shlex.join(argv)]
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise ServerError(f"{address}: `{shlex.join(argv)}` took more than {timeout:.0f} s") from error
        if done.returncode:
            words = (done.stderr or done.stdout).strip()[-800:]
            raise ServerError(f"{address}: `{shlex.join(argv)}` ended with {done.returncode}: {words}")
        return done.stdout

    def sql(self, address: str, statements: str, database: str = "postgres", port: int = 5432) -> str:
        """Run statements on a node as PostgreSQL's administrator; bare rows come back."""
        psql = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-p", str(port), "-d", database, "-f", "-"]
        return self.run(address, ["runuser", "-u", "postgres", "--", *psql], statements).strip()

    def primary(self) -> str:
        """Name the one node that accepts writes. ServerError if there is none or more than one."""
        writable = []
        for name, address in self.nodes.items():
            try:
                if self.sql(address, "SELECT pg_is_in_recovery();") == "f":
                    writable.append(name)
            except ServerError:
                continue  # a node that does not answer is not the primary
        if len(writable) != 1:
            raise ServerError(f"{len(writable)} nodes accept writes {writable}, 1 expected")
        return writable[0]


def _ssh(variables: dict[str, Any], inventory: Path) -> tuple[str, ...]:
    """Ansible's connection variables as an ssh command; connections are kept open for a while."""
    where = str(inventory.resolve().parent)
    key, options = (
        str(variables[name]).replace("{{ inventory_dir }}", where)
        for name in ("ansible_ssh_private_key_file", "ansible_ssh_common_args")
    )
    # Its own for each process: a connection of an earlier one may lead to a server that is no more.
    shared = f"-o ControlMaster=auto -o ControlPersist=60 -o ControlPath=/run/duet-{os.getpid()}-%C"
    fixed = "-F none -o BatchMode=yes -o ConnectTimeout=5 -o ServerAliveInterval=3"
    return ("ssh", *shlex.split(f"{fixed} {shared}"), "-i", key, *shlex.split(options))
