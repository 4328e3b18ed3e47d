"""The faults, each done to a cluster in about a millisecond, and how the world is put right again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.journal import init_process
from tests.scenarios.cluster import Cluster
from tests.scenarios.playbook import Running
from tests.scenarios.support import NODES, Lab, run, within


@dataclass
class World:
    """The parts of a cluster that can break, prepared beforehand: a fault must not take time."""

    cluster: Cluster
    init: dict[str, int]

    @classmethod
    def of(cls, cluster: Cluster) -> World:
        return cls(cluster, {node: init_process(cluster.lab, node) for node in NODES})

    def is_off(self, node: str) -> bool:
        return not os.path.exists(f"/proc/{self.init[node]}")

    def silence(self, node: str) -> None:
        """As a power loss looks from outside: no socket is closed."""
        run("nsenter", "-t", str(self.init[node]), "-n", "ip", "link", "set", "eth0", "down")
        os.kill(self.init[node], signal.SIGKILL)

    def power_on(self, node: str) -> None:
        """As soon as podman has noticed that it is off."""
        lab = self.cluster.lab
        state = ("podman", "inspect", "--format", "{{.State.Status}}", f"{lab.name}-{node}")
        within(15, lambda: run(*state).strip() == "exited", f"{node} is off")
        lab.power_on(node)
        self.init[node] = init_process(lab, node)

    def heal(self) -> None:
        """Power and network are back; nothing else is touched."""
        lab = self.cluster.lab
        for node in NODES:
            if self.is_off(node):
                self.power_on(node)
        lab.mend_link()
        lab.forget_connections()


def seen_on_nodes(lab: Lab, why: str) -> str:
    """What somebody would look at on the nodes when something has not come true."""
    look = "backup-ha status; journalctl -q -o short-precise -n 25 -u 'backup-ha-*' -u 'postgresql@*'"
    return "\n".join([why, *(f"--- {node}\n{lab.sh(node, look, check=False)}" for node in NODES)])


def kill_controller(_world: World, running: Running) -> None:
    running.kill()


def kill_primary(world: World, _running: Running) -> None:
    os.kill(world.init[world.cluster.primary], signal.SIGKILL)


def kill_secondary(world: World, _running: Running) -> None:
    os.kill(world.init[world.cluster.secondary], signal.SIGKILL)


def silence_primary(world: World, _running: Running) -> None:
    world.silence(world.cluster.primary)


def cut_link(world: World, _running: Running) -> None:
    """The nodes lose each other, and nobody else loses them."""
    cluster = world.cluster
    other = cluster.lab.address(cluster.secondary)
    rules = f"iptables -I INPUT -s {other} -j DROP; iptables -I OUTPUT -d {other} -j DROP"
    run("nsenter", "-t", str(world.init[cluster.primary]), "-n", "sh", "-c", rules)


FAULTS: dict[str, Callable[[World, Running], None]] = {
    "controller killed": kill_controller,
    "primary killed": kill_primary,
    "primary silent": silence_primary,
    "secondary killed": kill_secondary,
    "link cut": cut_link,
}
