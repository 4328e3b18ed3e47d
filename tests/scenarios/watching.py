"""Do something bad to a cluster while clients write and both nodes are probed, and judge what they saw.

Every scenario that runs inside `Watch.over` proves the same: never two writers, nothing acknowledged lost, and a sound
cluster at the end, by itself or by what the scenario does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from measure.access import Access, admit, create, written
from measure.loss import lost_commits
from measure.servers import Servers
from measure.watch import Seen, Watched, watch
from measure.writers import Needs, judge
from tests.scenarios.cluster import Cluster
from tests.scenarios.support import NODES, Lab, run

PACE_MS = 10.0
# Scenarios share the machine: a node may go unwatched for longer than a benchmark would allow.
PROBES, BLIND_MS = 50, 3000.0


@dataclass(frozen=True)
class LabServers(Servers):
    """Commands through podman: an SSH connection would lead nowhere after a power cut."""

    lab: str

    def run(self, address: str, argv: Sequence[str], stdin: str = "", timeout: float = 60.0) -> str:
        (node,) = (name for name, known in self.nodes.items() if known == address)
        words = ["podman", "exec", "--interactive", "--workdir", "/", f"{self.lab}-{node}", *argv]
        return run(*words, stdin=stdin, timeout=timeout)


@dataclass(frozen=True)
class Watch:
    """A sound cluster under observation."""

    cluster: Cluster
    access: Access
    directory: Path

    def over(self, scenario: Callable[[], object], primary: str | None = None, may_lose: bool = False) -> str:
        """Run a scenario and wait for a sound cluster, with that primary if it is named; return the primary.

        `may_lose`: what a primary acknowledged just before it died may be gone.
        """
        lab = self.cluster.lab

        def to_the_end() -> str:
            scenario()
            return self.cluster.settle(primary)

        watched = Watched(self.access, lab.endpoint, {node: lab.address(node) for node in NODES})
        found, seen = watch(to_the_end, watched, self.directory, {"quick": PACE_MS})
        self._judge(seen, {self.cluster.primary, found}, may_lose)
        return found

    def _judge(self, seen: Seen, primaries: set[str], may_lose: bool) -> None:
        needs = Needs(PROBES, BLIND_MS, frozenset(primaries))
        verdict = judge(seen.probes, NODES, seen.begin, seen.end, needs)
        assert verdict.two_writers is False, verdict
        (primary,) = [node for node in NODES if self.cluster.lab.accepts_writes(node)]
        client = seen.clients["quick"]
        loss = lost_commits(client.attempts, written(self.access, self.cluster.lab.address(primary), client.run))
        assert loss.acknowledged > 0, "nothing was written"
        assert may_lose or loss.count == 0, (
            f"{loss.count} of {loss.acknowledged} acknowledged rows are lost: {loss.lost[:5]}"
        )


def watch_over(cluster: Cluster, directory: Path) -> Watch:
    """Let clients into a sound cluster."""
    servers = _servers(cluster.lab)
    for address in servers.nodes.values():
        admit(servers, address)
    return Watch(cluster, create(servers, cluster.lab.address(cluster.primary)), directory)


def _servers(lab: Lab) -> LabServers:
    known = Servers.of(lab.inventory)
    return LabServers(**{field.name: getattr(known, field.name) for field in fields(known)}, lab=lab.name)
