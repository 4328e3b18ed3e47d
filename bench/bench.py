"""Measure the cluster's speed on a lab of its own, and write build/bench/report.json: `bench.py --help`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import load
from bench.figures import Figure, figure, machine, table
from bench.runs import Lab
from measure.child import ChildError
from measure.playbook import ROOT, CommandError
from measure.servers import ServerError
from measure.terminal import Terminal

DIRECTORY = ROOT / "build" / "bench"
# In the order in which they are measured: each builds on the cluster that the one before it left.
UNITS = {
    "pair_1gb_s": "s",
    "status_s": "s",
    "config_apply_s": "s",
    "status_silent_s": "s",
    "base_copy_ratio": "ratio",
    "commit_lag_ms": "ms",
    "sync_commit_ratio": "ratio",
    "agent_rss_mb": "MB",
    "agent_cpu_percent": "% of a core",
    "switchover_gap_idle_ms": "ms",
    "switchover_playbook_s": "s",
    "switchover_gap_patient_ms": "ms",
    "switchover_gap_load_ms": "ms",
    "failover_node_s": "s",
    "failover_playbook_s": "s",
    "rejoin_1gb_s": "s",
}
STEADY = {"base_copy_ratio", "commit_lag_ms", "sync_commit_ratio", "agent_rss_mb", "agent_cpu_percent"}
FAILOVERS = {"failover_node_s": False, "failover_playbook_s": True}  # whether by the playbook


class Bench:
    """Takes the wanted figures one after the other."""

    def __init__(self, lab: Lab, wanted: Sequence[str], runs: int) -> None:
        self._lab, self._wanted, self._runs = lab, wanted, runs
        self.values: dict[str, list[float]] = {name: [] for name in wanted}
        # Idle gap and playbook come from the same switchovers.
        switchovers = [{"switchover_gap_idle_ms", "switchover_playbook_s"}, {"switchover_gap_patient_ms"}]
        rounds = sum(bool(names & set(wanted)) for names in [*switchovers, {"switchover_gap_load_ms"}])
        rounds += len(self._failovers())
        pairs = runs if "pair_1gb_s" in wanted else 1
        statuses = runs * len({"status_s", "config_apply_s", "status_silent_s"} & set(wanted))
        rounds += bool(STEADY & set(wanted))
        self.terminal = Terminal(1 + pairs + statuses + rounds * runs)

    def measure(self) -> None:
        """Take everything that is wanted."""
        with self.terminal.step("lab, Bacula, 1 GB") as step:
            self._lab.start(step.show)
        for _ in range(self._runs if "pair_1gb_s" in self._wanted else 1):
            with self.terminal.step("pair with a blank node") as step:
                seconds = self._lab.pair(step.show)
                self._keep("pair_1gb_s", seconds)
                step.result = f"{seconds:.1f} s"
        for _ in range(self._runs if "status_s" in self._wanted else 0):
            with self.terminal.step("status") as step:
                self._keep("status_s", self._lab.status(step.show))
        for _ in range(self._runs if "config_apply_s" in self._wanted else 0):
            with self.terminal.step("change a configuration file") as step:
                self._keep("config_apply_s", self._lab.config_apply())
                step.result = f"on the secondary after {self.values['config_apply_s'][-1]:.1f} s"
        for _ in range(self._runs if "status_silent_s" in self._wanted else 0):
            with self.terminal.step("status, nodes without power") as step:
                self._keep("status_silent_s", self._lab.status_silent(step.show))
        self._look_at_a_quiet_cluster()
        self._switch_over("switch over, idle", "quick", "switchover_gap_idle_ms", "switchover_playbook_s")
        self._switch_over("switch over, patient client", "patient", "switchover_gap_patient_ms")
        with self._load():
            self._switch_over(f"switch over, pgbench -R {load.RATE}", "quick", "switchover_gap_load_ms")
            for name in self._failovers():
                self._fail_over(name)

    def _look_at_a_quiet_cluster(self) -> None:
        if not STEADY & set(self._wanted):
            return
        for number in range(self._runs):
            with self.terminal.step("copy, commits, agents") as step:
                found = self._lab.steady(number)
                for name, value in found.items():
                    self._keep(name, value)
                step.result = ", ".join(f"{name} {value:.2f}" for name, value in found.items())

    def _switch_over(self, title: str, mode: str, gap_name: str, seconds_name: str = "") -> None:
        if not {gap_name, seconds_name} & set(self._wanted):
            return
        for _ in range(self._runs):
            with self.terminal.step(title) as step:
                if gap_name == "switchover_gap_load_ms":
                    load.wait_for(self._lab.servers, self._lab.primary())
                gap_ms, seconds = self._lab.switch_over(step.show, mode)
                self._keep(gap_name, gap_ms)
                self._keep(seconds_name, seconds)
                step.result = f"gap {gap_ms:.0f} ms, playbook {seconds:.1f} s"

    def _failovers(self) -> list[str]:
        """Each is followed by a rejoin, so that those need at least one kind of them."""
        chosen = [name for name in FAILOVERS if name in self._wanted]
        return chosen or (["failover_node_s"] if "rejoin_1gb_s" in self._wanted else [])

    def _fail_over(self, name: str) -> None:
        """Power cut, failover, some load, power on, rejoin."""
        for _ in range(self._runs):
            with self.terminal.step(f"{name}, and rejoin, pgbench -R {load.RATE}") as step:
                servers = self._lab.servers
                old = servers.primary()
                (new,) = [node for node in servers.nodes if node != old]
                load.wait_for(servers, servers.nodes[old])
                gone = self._lab.fail_over(step.show, old, new, by_playbook=FAILOVERS[name])
                load.wait_for(servers, servers.nodes[new])
                back = self._lab.rejoin(old, new)
                self._keep(name, gone)
                self._keep("rejoin_1gb_s", back)
                step.result = f"no writer for {gone:.2f} s, back after {back:.1f} s"

    @contextmanager
    def _load(self) -> Iterator[None]:
        wanted = "switchover_gap_load_ms" in self._wanted or self._failovers()
        if wanted:
            load.start(self._lab.servers, self._lab.access)
        try:
            yield
        finally:
            if wanted:
                load.stop(self._lab.servers)

    def _keep(self, name: str, value: float) -> None:
        if name in self.values:
            self.values[name].append(value)

    def report(self) -> dict[str, Figure]:
        """Make the figures of all that has been measured so far."""
        return {name: figure(values, UNITS[name]) for name, values in self.values.items() if values}


def main() -> int:
    """Parse, measure, report; what was measured before a failure is reported, too."""
    options = _options()
    lab = Lab(options.name, options.subnet, DIRECTORY)
    bench = Bench(lab, options.only or list(UNITS), options.runs)
    say = bench.terminal.say
    fault = ""
    busy = os.getloadavg()[0]
    try:
        bench.measure()
    except (CommandError, ServerError, ChildError) as error:
        fault = str(error)
    described = machine(lab.postgresql, busy)
    for name, content in (("report", bench.report()), ("values", bench.values), ("machine", described)):
        (DIRECTORY / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    say()
    for line in [*table(bench.report()), "", *(f"{key}: {value}" for key, value in described.items()), "", fault]:
        say(line)
    say(f"report: {DIRECTORY / 'report.json'}")
    if not (options.keep or fault):
        lab.remove(lambda _: None)
    return 1 if fault else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(UNITS), help="take this figure (may be repeated)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each (%(default)s)")
    parser.add_argument("--name", default="bench", help="the lab's name (%(default)s)")
    parser.add_argument("--subnet", default="198.18.90.0/24", help="the lab's subnet (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the lab running")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
