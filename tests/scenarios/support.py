"""A lab of real servers, from the point of view of who tests on it.

Commands on servers go through podman and not through SSH: they work whatever a scenario does to the network, and
they share nothing with what is tested.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import yaml

from tests.scenarios import playbook, snapshot
from tests.scenarios.playbook import ROOT, Outcome, Running

NODES = ("node1", "node2")
PEER = {"node1": "node2", "node2": "node1"}
UNIT = "postgresql@15-main"
DATA = "/var/lib/postgresql/15/main"
# A scenario's own questions and rows do not wait for the secondary, which it may have switched off.
WAITS_FOR_NOBODY = "export PGOPTIONS='-c synchronous_commit=local'"
SSH_DEADLINE_S = 30.0
# Ends with `f` on a writer, whether or not commits there wait for the secondary.
WRITE = "SET synchronous_commit = local; CREATE TEMPORARY TABLE scenario (n int); SELECT pg_is_in_recovery()"
TIMED_OUT = "msg: 'Task failed: Timed out after"


class CommandError(AssertionError):
    """A command failed; the message names it and ends with its last words."""


def run(*argv: str, stdin: str = "", check: bool = True, timeout: float = 120.0) -> str:
    """Run a command on this machine and return what it wrote to standard output."""
    environment = os.environ | {"CONTAINERS_CONF": str(ROOT / "lab/containers.conf"), "LC_ALL": "C"}
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, env=environment, timeout=timeout, check=False
    )
    if check and done.returncode:
        words = (done.stderr or done.stdout).strip()[-800:]
        raise CommandError(f"`{shlex.join(argv)[:200]}` ended with {done.returncode}: {words}")
    return done.stdout


def within(seconds: float, condition: Callable[[], Any], what: str | Callable[[], str]) -> Any:
    """Wait for a condition and return its value; when the time is over, the assertion says what did not come true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.1)


@dataclass
class Lab:
    """One lab, by its name; the nodes are node1 and node2, the third server is repository."""

    name: str
    subnet: str
    logs: Path
    flavour: str = "--packages"
    _plays: int = field(default=0, init=False)

    # The lab itself

    def manage(self, *words: str) -> None:
        """Run lab.py for this lab."""
        run(sys.executable, str(ROOT / "lab/lab.py"), words[0], "--name", self.name, *words[1:], timeout=900)

    def up(self) -> None:
        self.manage("up", "--subnet", self.subnet, *([self.flavour] if self.flavour else []))

    def down(self) -> None:
        self.manage("down")

    def reset(self, *nodes: str) -> None:
        """Make nodes blank again."""
        self.manage("reset", *nodes)
        self.forget_connections()

    def forget_connections(self) -> None:
        """End the SSH connections that Ansible keeps: those to a server that is no more lead nowhere."""
        for socket in self.control_paths.glob("*"):
            run("ssh", "-o", f"ControlPath={socket}", "-O", "exit", "any", check=False)
            socket.unlink(missing_ok=True)

    @property
    def control_paths(self) -> Path:
        # A socket's path holds about a hundred characters.
        return Path("/run/duet-scenarios") / self.name

    @property
    def inventory(self) -> Path:
        return ROOT / "build/lab" / self.name / "inventory.yml"

    @cached_property
    def prefix(self) -> str:
        """The first three bytes of every address here, with a dot."""
        return self.subnet.rsplit(".", 1)[0] + "."

    @property
    def endpoint(self) -> str:
        return self.prefix + "10"

    def address(self, host: str) -> str:
        return self.prefix + {"node1": "11", "node2": "12", "repository": "20"}[host]

    def write_inventory(self, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
        """Another inventory: `change` gets the lab's document."""
        document = yaml.safe_load(self.inventory.read_text(encoding="utf-8"))
        change(document)
        # Beside the original, because keys are named relative to it.
        target = self.inventory.with_name(f"{name}.yml")
        target.write_text(yaml.safe_dump(document), encoding="utf-8")
        return target

    # Commands on a server

    def podman(self, verb: str, host: str, *words: str) -> str:
        return run("podman", verb, *words, f"{self.name}-{host}")

    def sh(self, host: str, script: str, check: bool = True, timeout: float = 120.0) -> str:
        """Run a shell script as root on a server and return what it wrote to standard output."""
        command = ("podman", "exec", "--interactive", f"{self.name}-{host}", "bash", "-s")
        return run(*command, stdin=f"export LC_ALL=C.UTF-8\n{script}", check=check, timeout=timeout).strip()

    def fails(self, host: str, script: str) -> bool:
        """Run a shell script and say whether it failed."""
        return self.sh(host, f"{{ {script}; }} > /dev/null 2>&1 || echo failed").endswith("failed")

    def spawn(self, host: str, script: str) -> subprocess.Popen[str]:
        """Start a shell script on a server and leave it running."""
        command = ["podman", "exec", f"{self.name}-{host}", "bash", "-c", script]
        environment = os.environ | {"CONTAINERS_CONF": str(ROOT / "lab/containers.conf")}
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, text=True)

    def sql(self, host: str, statements: str, database: str = "postgres") -> str:
        """Run statements as PostgreSQL's administrator on a server and return bare rows."""
        script = f"runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 -d {database} <<'SQL'\n{statements}\nSQL"
        return self.sh(host, f"cd /\n{WAITS_FOR_NOBODY}\n{script}")

    def snapshot(self, *hosts: str) -> dict[str, snapshot.Snapshot]:
        """Everything on the servers that a playbook could change."""
        script = f"python3 - <<'PYTHON'\n{snapshot.SCRIPT}\nPYTHON"
        return {host: snapshot.parse(self.sh(host, script)) for host in hosts or NODES}

    @contextmanager
    def unchanged(self, *hosts: str) -> Iterator[None]:
        """Whatever happens in this block changes nothing on the servers; the assertion lists what it did change."""
        for host in hosts or NODES:
            self.await_delivery(host)
        before = self.snapshot(*hosts)
        yield
        after = self.snapshot(*hosts)
        found = [f"{host}: {line}" for host in before for line in snapshot.difference(before[host], after[host])]
        assert not found, "\n".join([f"the servers have changed, in {len(found)} ways:", *found[:100]])

    def await_delivery(self, host: str, seconds: float = 15.0) -> None:
        """Let the events of what was done before arrive; those that nobody takes now stay where they are."""
        deadline = time.monotonic() + seconds
        while self.sh(host, "ls -A /var/lib/backup-ha/events 2>/dev/null", check=False) and time.monotonic() < deadline:
            time.sleep(0.2)

    # Playbooks

    def start(self, operation: str, *options: str, inventory: Path | None = None) -> Running:
        """Start a playbook of the collection in the background."""
        self._plays += 1
        log = self.logs / f"{self._plays:03}-{operation}.log"
        self.control_paths.mkdir(parents=True, exist_ok=True)
        where = inventory or self.inventory
        settings = {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.control_paths)}
        return playbook.start(f"duet.backup_ha.{operation}", where, log, *options, **settings)

    def play(self, operation: str, *options: str, inventory: Path | None = None, timeout: float = 400.0) -> Outcome:
        """Run a playbook of the collection, by its full name."""
        outcome = self.start(operation, *options, inventory=inventory).wait(timeout)
        if operation == "status" and outcome.output.count(TIMED_OUT) == len(NODES):
            # Two nodes of one machine at the same time: the machine stood still, and the answer is about that.
            outcome = self.start(operation, *options, inventory=inventory).wait(timeout)
        return outcome

    def play_path(self, path: Path, *options: str) -> Outcome:
        """Run any other playbook."""
        log = self.logs / f"{path.stem}.log"
        return playbook.start(str(path), self.inventory, log, *options).wait(400)

    # What is true

    def observe(self, node: str) -> dict[str, Any]:
        """What a node says of itself: `backup-ha status --json`."""
        return cast("dict[str, Any]", json.loads(self.sh(node, "backup-ha status --json")))

    def accepts_writes(self, node: str) -> bool:
        """A row can be written there. False when PostgreSQL does not answer or refuses."""
        script = f"cd /; timeout 5 runuser -u postgres -- psql -XqAt -d postgres -c '{WRITE}'"
        return self.sh(node, script, check=False).endswith("f")

    def writers(self, nodes: Iterable[str] = NODES) -> list[str]:
        return [node for node in nodes if self.accepts_writes(node)]

    def has_endpoint(self, node: str) -> bool:
        return f" {self.endpoint}/" in self.sh(node, "ip -oneline address")

    def is_active(self, node: str, unit: str) -> bool:
        return self.sh(node, f"systemctl is-active {unit}", check=False) == "active"

    # Faults

    def fill_disk(self, node: str, folder: str, megabytes: int = 50) -> None:
        """Put a small file system over a folder; a reset takes it away."""
        self.sh(node, f"mkdir -p {folder}")
        pid = run("podman", "inspect", "--format", "{{.State.Pid}}", f"{self.name}-{node}").strip()
        run("nsenter", "-t", pid, "-m", "mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder)

    def free_disk(self, node: str, folder: str) -> None:
        """Take the small file system away again."""
        pid = run("podman", "inspect", "--format", "{{.State.Pid}}", f"{self.name}-{node}").strip()
        run("nsenter", "-t", pid, "-m", "umount", folder)

    def power_off(self, node: str) -> None:
        """Cut the power: nothing on the node can do anything any more."""
        self.podman("kill", node, "--signal", "KILL")

    def power_on(self, node: str) -> None:
        """Start a node and wait for its SSH server."""
        self.podman("start", node)
        probe = f"exec 3<>/dev/tcp/{self.address(node)}/22"
        within(SSH_DEADLINE_S, lambda: run("bash", "-c", f"{probe} && echo yes", check=False), f"SSH on {node}")

    def cut_one_way(self, sender: str) -> None:
        """Nothing of what a node sends arrives at the other one, which is heard as before."""
        self.sh(PEER[sender], f"iptables -I INPUT -s {self.address(sender)} -j DROP")

    def cut_link(self) -> None:
        """Part the two nodes from each other, and from nobody else."""
        for node in NODES:
            other = self.address(PEER[node])
            self.sh(node, f"iptables -I INPUT -s {other} -j DROP; iptables -I OUTPUT -d {other} -j DROP")

    def mend_link(self) -> None:
        for node in NODES:
            self.sh(node, "iptables -F")
