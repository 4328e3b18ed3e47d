"""One run of each thing that is measured, on a lab of the benchmark's own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from bench import agents, commits, copying, files, load
from bench.disaster import Power, await_answer, await_streaming, rejoin
from measure import access
from measure.playbook import ROOT, CommandError, Ran, execute, play
from measure.servers import Servers
from measure.watch import Watched, watch

Show = Callable[[str], None]


class Lab:
    """Three servers with packages; node1 gets a Bacula server and 1 GB more, node2 is blank."""

    def __init__(self, name: str, subnet: str, directory: Path) -> None:
        self._name, self._subnet, self._directory = name, subnet, directory
        self.servers: Servers
        self.access: access.Access
        self.postgresql = ""  # the server's version

    def start(self, show: Show) -> None:
        """Make the lab anew, up to the moment before it is assembled."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._lab("down", show)
        self._lab("up", show, "--packages", "--subnet", self._subnet)
        inventory = self._lab("inventory", show, "--subnet", self._subnet).log.read_text(encoding="utf-8").strip()
        self.servers = Servers.of(Path(inventory))
        for name in ("repository", "bacula_server"):
            self._play(f"lab/playbooks/{name}.yml", show).check()
        show("filling the database")
        one = self.servers.nodes["node1"]
        self.access = access.create(self.servers, one)
        self.postgresql = self.servers.sql(one, "SHOW server_version;")
        load.fill(self.servers, one)
        load.install(self.servers)

    def pair(self, show: Show) -> float:
        """Assemble with a blank node2; seconds."""
        self._lab("reset", show, "node2")
        seconds = self._play("duet.backup_ha.assemble", show).check().seconds
        self.prepare()
        return seconds

    def prepare(self) -> None:
        """Let the measuring clients in, on whichever nodes there are now."""
        for address in self.servers.nodes.values():
            access.admit(self.servers, address)

    def status(self, show: Show) -> float:
        return self._play("duet.backup_ha.status", show).check().seconds

    def config_apply(self) -> float:
        """Seconds until a file that was changed on the primary is on the secondary."""
        primary = self.servers.primary()
        (secondary,) = [address for node, address in self.servers.nodes.items() if node != primary]
        return files.replicate(self.servers, self.servers.nodes[primary], secondary)

    def status_silent(self, show: Show) -> float:
        """Ask while the secondary has no power, while both have none, and while the primary has none: the longest."""
        primary = self.servers.primary()
        (secondary,) = [node for node in self.servers.nodes if node != primary]
        power = Power(self._name)
        power.cut(secondary)
        seconds = [self._ask_unhealthy(show)]
        power.cut(primary)
        seconds.append(self._ask_unhealthy(show))
        power.on(secondary)
        await_answer(self.servers, self.servers.nodes[secondary])
        seconds.append(self._ask_unhealthy(show))
        power.on(primary)
        await_streaming(self.servers, self.servers.nodes[secondary])
        return max(seconds)

    def _ask_unhealthy(self, show: Show) -> float:
        ran = self._play("duet.backup_ha.status", show)
        if not ran.code:
            raise CommandError("status calls a cluster healthy that has a node without power")
        return ran.seconds

    def steady(self, number: int) -> dict[str, float]:
        """What a cluster costs while nothing happens to it, by figure."""
        primary = self.servers.primary()
        (secondary,) = [node for node in self.servers.nodes if node != primary]
        one, other = self.servers.nodes[primary], self.servers.nodes[secondary]
        copied = copying.ratio(self.servers, other, number)
        await_streaming(self.servers, other)
        commits.wait_until_protected(self.servers, one)
        memory, percent = agents.look(self.servers)
        return {
            "base_copy_ratio": copied,
            "commit_lag_ms": commits.lag_ms(self.access, one, other),
            "sync_commit_ratio": commits.sync_ratio(self.access, self.servers.endpoint),
            "agent_rss_mb": memory,
            "agent_cpu_percent": percent,
        }

    def primary(self) -> str:
        """Address of the primary."""
        return self.servers.nodes[self.servers.primary()]

    def switch_over(self, show: Show, mode: str) -> tuple[float, float]:
        """Switch over under a writer; its gap in ms and the playbook's seconds."""
        watched = Watched(self.access, self.servers.endpoint)
        ran, seen = watch(
            lambda: self._play("duet.backup_ha.switchover", show).check(), watched, self._directory, {mode: 2.0}
        )
        gap = seen.clients[mode].gap
        if gap.gap_ms is None:
            raise CommandError(f"the write gap was not measured: {gap.why}")
        return gap.gap_ms, ran.seconds

    def fail_over(self, show: Show, old: str, new: str, by_playbook: bool) -> float:
        """Cut the primary's power and take over at once; seconds without a write, as a client saw them."""

        def take_over() -> None:
            Power(self._name).cut(old)
            if by_playbook:
                words = [f"-ebackup_ha_failover_confirmed={old}", f"-ebackup_ha_primary_is_off={old}"]
                self._play("duet.backup_ha.failover", show, *words).check()
            else:
                Power(self._name).run(new, "backup-ha failover --yes --primary-is-off")

        _, seen = watch(take_over, Watched(self.access, self.servers.endpoint), self._directory, {"quick": 2.0})
        gap = seen.clients["quick"].gap
        if gap.gap_ms is None:
            raise CommandError(f"the write gap was not measured: {gap.why}")
        return gap.gap_ms / 1000

    def rejoin(self, old: str, new: str) -> float:
        """Switch the former primary on; seconds until it streams."""
        return rejoin(Power(self._name), self.servers, old, self.servers.nodes[new])

    def remove(self, show: Show) -> None:
        self._lab("down", show)

    def _lab(self, verb: str, show: Show, *words: str) -> Ran:
        command = [sys.executable, str(ROOT / "lab" / "lab.py"), verb, "--name", self._name, *words]
        return execute(command, self._directory / f"lab-{verb}.log", show).check()

    def _play(self, playbook: str, show: Show, *options: str) -> Ran:
        name = playbook.rsplit("/", 1)[-1].removesuffix(".yml").removeprefix("duet.backup_ha.")
        return play(playbook, self.servers.inventory, self._directory / f"{name}.log", *options, show=show)
