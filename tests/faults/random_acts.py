"""The events of a random run, done to a lab: each begins, some end, and each says in a few words what was seen."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.faults.breaking import World
from tests.faults.random_clock import PRELOAD, shift
from tests.faults.random_judge import Cover
from tests.faults.random_operator import CUT_OFF
from tests.faults.random_plan import PRIMARY, Event
from tests.scenarios.cluster import Cluster
from tests.scenarios.playbook import Running
from tests.scenarios.support import DATA, PEER, UNIT, Lab, run

COMMAND_S = 150.0  # a playbook's or command's own bounds are shorter
FILE_BYTES = 1 << 20
SERVER = f"$(head -n 1 {DATA}/postmaster.pid)"
# A limit for every file of the server: WAL meets it at once. It holds for restarts, until it is taken away.
DROP_IN = f"/run/systemd/system/{UNIT}.service.d"
FULL = f"""
mkdir -p {DROP_IN}
printf '[Service]\\nLimitFSIZE={FILE_BYTES}:infinity\\n' > {DROP_IN}/zz-full.conf
systemctl daemon-reload
runuser -u postgres -- sh -c 'for pid in $(pgrep -u postgres); do prlimit --pid $pid --fsize={FILE_BYTES}:; done'
"""
NOT_FULL = f"""
rm -f {DROP_IN}/zz-full.conf
systemctl daemon-reload
runuser -u postgres -- sh -c 'for pid in $(pgrep -u postgres); do prlimit --pid $pid --fsize=unlimited:; done'
"""
SIGNALS = {
    "kill_server": f"kill -KILL {SERVER}",
    "kill_backends": "pkill -KILL -f '^postgres: 15/main: duet_writer '",
    "kill_receiver": "pkill -KILL -f '^postgres: 15/main: walreceiver '",
}
_NOTHING_MISSING = re.compile(r"Nothing that \w+ wrote is missing")
_HEARD = re.compile(r"accepted after (\d\d):(\d\d):(\d\d) \(\d+ s ago\)")


@dataclass
class Command:
    """What the operator runs in the background. `role_change`: a failover, which may lose rows."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    failover: bool
    began: float = field(default_factory=time.monotonic)
    playbook: Running | None = None
    killed: bool = False

    def wait(self) -> str:
        """What came of it. AssertionError when it does not end."""
        if self.killed:
            return "killed"
        try:
            code = self.process.wait(max(1.0, self.began + COMMAND_S - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"`{self.name}` did not end within {COMMAND_S:.0f} s: {self.log}") from None
        seconds = time.monotonic() - self.began
        self.killed = code == 128 + signal.SIGKILL
        return f"ended with {code} after {seconds:.0f} s{': ' + last if (last := self._last()) and code else ''}"

    def _last(self) -> str:
        lines = [line.strip() for line in self.text().splitlines() if "Nothing was changed" in line or "fatal:" in line]
        return lines[0][:200] if lines else ""

    def text(self) -> str:
        if self.playbook:
            self.playbook._reader.join(5)
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def cover(self, now: float) -> Cover | None:
        """What this failover may have lost; None when it was refused, or is no failover."""
        said = self.text()
        if not self.failover or (not self.killed and "Nothing was changed." in " ".join(said.split())):
            return None
        # One that was cut off may have said less than it did.
        if self.killed or self.process.returncode != 0:
            return Cover(self.began, now)
        return Cover(
            self.began, now, bool(_NOTHING_MISSING.search(said)), announced(said, time.time(), time.monotonic())
        )


def announced(said: str, clock: float, now: float) -> float | None:
    """The moment since when a failover said that nothing is known, in monotonic seconds."""
    found = _HEARD.search(" ".join(said.split()))
    if not found:
        return None
    hour, minute, second = map(int, found.groups())
    return now - (clock - (hour * 3600 + minute * 60 + second)) % 86400


@dataclass
class Site:
    """The lab in a round: who was the primary when it began, and what is broken at the moment."""

    cluster: Cluster
    directory: Path
    world: World
    frozen: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)
    commands: dict[Event, Command] = field(default_factory=dict)
    clocks: str = ""  # why the nodes have none of their own
    shifted: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, cluster: Cluster, directory: Path, clocks: str) -> Site:
        return cls(cluster, directory, World.of(cluster), clocks=clocks)

    @property
    def lab(self) -> Lab:
        return self.cluster.lab

    def node(self, event: Event) -> str:
        return self.cluster.primary if event.who == PRIMARY else self.cluster.secondary

    def begin(self, event: Event) -> str:
        if event.what == "run":
            return self._command(event)
        node = self.node(event)
        if self.world.is_off(node) or node in self.frozen:
            return f"nothing: {node} is {'frozen' if node in self.frozen else 'off'}"
        return f"{node}: {_BEGIN[event.what](self, node, event) or 'done'}"

    def end(self, event: Event) -> str:
        if event.what == "run":
            return self._kill(event)
        node = self.node(event)
        return f"{node}: {_END[event.what](self, node, event) or 'done'}"

    def heal(self) -> None:
        """Power, network and disks are back."""
        for node in list(self.frozen):
            self.thaw(node)
        for node in list(self.full):
            self.free(node)
        self.world.heal()
        for node in self.shifted:  # set on its disk
            shift(self.lab, node, "+0")

    def covers(self) -> list[Cover]:
        """What the round's failovers may have lost. Times that a node with a wrong clock tells mean nothing."""
        found = [cover for command in self.commands.values() if (cover := command.cover(time.monotonic()))]
        return [replace(cover, heard=None) for cover in found] if self.shifted else found

    # What breaks

    def set_clock(self, node: str, offset: str) -> str:
        if self.clocks:
            return "nothing: there is no clock of its own"
        if self.world.is_off(node) or node in self.frozen:
            return "nothing: it is off or frozen"
        self.shifted.add(node)
        shift(self.lab, node, offset)
        return f"{offset} s"

    def thaw(self, node: str) -> None:
        if node in self.frozen:
            self.lab.podman("unpause", node)
            self.frozen.discard(node)

    def freeze(self, node: str) -> None:
        self.lab.podman("pause", node)
        self.frozen.add(node)

    def on(self, node: str) -> str:
        if not self.world.is_off(node):
            return "nothing: it is on"
        self.world.power_on(node)
        return ""

    def fill(self, node: str) -> None:
        self.full.add(node)
        self.lab.sh(node, FULL, check=False)

    def free(self, node: str) -> None:
        if node in self.frozen:
            return  # heal() does it
        self.full.discard(node)
        if not self.world.is_off(node):
            self.lab.sh(node, NOT_FULL, check=False)

    def firewall(self, node: str, event: Event, action: str) -> str:
        """The node's own rules, set from outside of it: that takes no time, and works on a frozen one."""
        if self.world.is_off(node):
            return "nothing: it is off"
        for rule in rules(self.lab, node, event.detail):
            command = f"iptables -w 5 {action} {rule} -j DROP"
            run("nsenter", "-t", str(self.world.init[node]), "-n", "sh", "-c", command, check=False)
        return event.detail

    # What the operator does

    def _command(self, event: Event) -> str:
        name, _space, bound = event.detail.partition(" ")
        old = PEER[self.node(event)]
        off = self.world.is_off(old)  # only then she says so
        if name.startswith("@"):
            return self._on_node(event, name[1:], off, bound)
        options = [*CUT_OFF] if name == "switchover" else []
        if name == "failover":
            options += ["-e", f"backup_ha_failover_confirmed={old}"]
            options += ["-e", f"backup_ha_primary_is_off={old}"] if off else []
            options += ["-e", f'{{"backup_ha_max_loss_bytes": {bound}}}'] if bound else []
        running = self.lab.start(name, *options)
        self.commands[event] = Command(name, running.process, running.log, name == "failover", playbook=running)
        return f"started {' '.join([name, *options])}"

    def _on_node(self, event: Event, name: str, off: bool, bound: str) -> str:
        node = self.node(event)
        if self.world.is_off(node) or node in self.frozen:
            return f"nothing: {node} is {'frozen' if node in self.frozen else 'off'}"
        words = ["backup-ha", name]
        if name == "failover":
            words += ["--yes", *(["--primary-is-off"] if off else []), *(["--max-loss-bytes", bound] if bound else [])]
        limit = event.lasts or 120
        script = f"{PRELOAD}; timeout -s KILL {limit} {' '.join(words)} < /dev/null 2>&1"
        log = self.directory / f"{time.time_ns():x}-{name}-{node}.log"
        with log.open("w", encoding="utf-8") as file:
            command = ["podman", "exec", f"{self.lab.name}-{node}", "bash", "-c", script]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, text=True)
        self.commands[event] = Command(f"{node}: {' '.join(words)}", process, log, name == "failover")
        return f"started on {node}: {' '.join(words)}"

    def _kill(self, event: Event) -> str:
        command = self.commands.get(event)
        if command is None or command.playbook is None or command.process.poll() is not None:
            return "nothing: it has ended"
        command.playbook.kill()
        command.killed = True
        return f"killed {command.name}"


def rules(lab: Lab, node: str, detail: str) -> list[str]:
    """iptables rules for what is dropped on a node."""
    other = lab.address(PEER[node])
    to, back = f"OUTPUT -d {other}", f"INPUT -s {other}"
    return {
        "to the other": [to],
        "from the other": [back],
        "both ways": [to, back],
        "control node": [f"INPUT -s {lab.prefix}1 -p tcp --dport 22"],
        "clients": [f"INPUT -d {lab.endpoint} -p tcp --dport 5432"],
    }[detail]


def _signal(site: Site, node: str, event: Event) -> str:
    return site.lab.sh(node, f"{SIGNALS[event.what]} || echo nothing there", check=False)


def _restart(site: Site, node: str, event: Event) -> str:
    return site.lab.sh(node, f"timeout 30 systemctl restart --no-block {event.detail} 2>&1 | head -n 1", check=False)


def _power_off(site: Site, node: str, _event: Event) -> None:
    site.lab.power_off(node)


_BEGIN: dict[str, Callable[[Site, str, Event], str | None]] = {
    "pause": lambda site, node, _event: site.freeze(node),
    "kill": _power_off,
    "silence": lambda site, node, _event: site.world.silence(node),
    "cut": lambda site, node, event: site.firewall(node, event, "-I"),
    "disk": lambda site, node, _event: site.fill(node),
    "kill_server": _signal,
    "kill_backends": _signal,
    "kill_receiver": _signal,
    "restart": _restart,
    "clock": lambda site, node, event: site.set_clock(node, event.detail),
}
_END: dict[str, Callable[[Site, str, Event], str | None]] = {
    "pause": lambda site, node, _event: site.thaw(node),
    "kill": lambda site, node, _event: site.on(node),
    "silence": lambda site, node, _event: site.on(node),
    "cut": lambda site, node, event: site.firewall(node, event, "-D"),
    "disk": lambda site, node, _event: site.free(node),
    "clock": lambda site, node, _event: site.set_clock(node, "+0"),
}
