"""Let a cluster have a bad week in a few minutes: random events from a seed, clients that write all the time, and a
judge. `random_run.py --help`, and docs/faults.md."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from measure.access import written
from measure.child import ChildError
from measure.link import LinkError
from tests.faults import random_report
from tests.faults.random_acts import Site
from tests.faults.random_clock import prepare
from tests.faults.random_judge import Cover, gone, unexplained
from tests.faults.random_operator import FindingError, Operator
from tests.faults.random_plan import Round, rounds, steps
from tests.faults.random_report import Log, Result, Told, collect
from tests.faults.random_sabotage import SABOTAGES
from tests.faults.random_watch import Clients, at_work
from tests.scenarios.cluster import Cluster, faults, sound_primary
from tests.scenarios.support import NODES, CommandError, Lab, within
from tests.scenarios.watching import watch_over

EQUAL_S = 30.0


@dataclass
class Run:
    """One seed on one lab."""

    lab: Lab
    log: Log
    result: Result
    sabotage: str
    clocks: str = ""  # why the nodes have none of their own
    covers: list[Cover] = field(default_factory=list)
    lost: int = 0

    def rounds(self, clients: Clients, wanted: Iterator[Round], until: float) -> None:
        """Round after round until the time is over. Raises FindingError."""
        while time.monotonic() < until:
            self._round(clients, next(wanted))

    def _round(self, clients: Clients, wanted: Round) -> None:
        primary = sound_primary(self.lab)
        if not primary:
            raise FindingError(f"out of order between two rounds: {faults(self.lab)}")
        told = Told(wanted.number, primary, [str(event) for event in wanted.events])
        self.result.rounds.append(told)
        self.log.say(f"round {wanted.number}: {primary} is the primary")
        site = Site.of(Cluster(self.lab, primary), self.log.directory, self.clocks)
        self._break(site, wanted)
        self._await_commands(site)
        site.heal()
        operator = Operator(self.lab, primary, wanted.patient, self.log.say)
        for command in site.commands.values():
            if command.playbook and command.killed and not wanted.patient:
                operator.again(command.name)
        after = operator.restore()
        if self.sabotage:
            self.log.say(f"sabotage: {SABOTAGES[self.sabotage](self.lab, after, clients.run)}")
        self.covers += site.covers()
        told.healed(operator, after)
        self._judge(clients, told)
        if self.sabotage:
            raise FindingError(f"nobody noticed the sabotage '{self.sabotage}'")

    def _break(self, site: Site, wanted: Round) -> None:
        began = time.monotonic()
        for at, ends, event in steps(wanted.events):
            time.sleep(max(0.0, began + at - time.monotonic()))
            since = time.monotonic() - began
            try:
                seen = site.end(event) if ends else site.begin(event)
            except CommandError as error:  # another event was there before; what stays broken is mended at the end
                seen = f"not done: {error}"
            self.log.say(f"+{since:.1f} s {'end of ' if ends else ''}{event}: {seen}")

    def _await_commands(self, site: Site) -> None:
        for command in site.commands.values():
            # Nobody waits for ever: what is frozen or cut off is mended after this at the latest.
            self.log.say(f"{command.name}: {command.wait()}")

    def _judge(self, clients: Clients, told: Told) -> None:
        """Everything that must be true now, and have been true all along. Raises FindingError."""
        clients.look()
        if proofs := clients.writers.proofs():
            raise FindingError(f"two writers: {'; '.join(proofs)}")
        primary = within(10, lambda: sound_primary(self.lab), "still in order")
        present = set(written(clients.access, self.lab.address(primary), clients.run))
        missing = gone(clients.acknowledged, present)
        if reasons := unexplained(missing, self.covers):
            raise FindingError(f"lost rows: {'; '.join(reasons)}")
        if not clients.acknowledged or clients.acknowledged[-1].ended < time.monotonic() - 10:
            raise FindingError("the cluster is in order, and the client at the endpoint could not write for 10 s")
        _equal(self.lab, clients.run, clients.acknowledged[-1].number)
        lost = sum(part.count for part in missing)
        told.judged(len(clients.acknowledged), lost - self.lost)
        self.lost = lost
        self.log.say(
            f"round {told.number} is over: {told.primary_after} is the primary, in order after {told.seconds:.0f} s "
            f"{'by itself' if told.alone else f'and {len(told.commands)} commands'}; {told.acknowledged} rows "
            f"acknowledged so far, {told.lost} lost in this round's failover"
        )


def _equal(lab: Lab, run: str, last: int) -> None:
    """Both nodes have the same rows."""
    query = (
        "SELECT count(*) || ' rows, ' || coalesce(sum(hashint8(number)), 0) FROM duet_written "
        f"WHERE run = '{run}' AND number <= {last}"
    )

    def answers() -> list[str]:
        return [lab.sql(node, query, "duet_measure") for node in NODES]

    try:
        within(EQUAL_S, lambda: len(set(answers())) == 1, lambda: f"the same rows on both nodes: {answers()}")
    except AssertionError as error:
        raise FindingError(str(error)) from error


def cluster(lab: Lab, log: Log) -> Cluster:
    """A sound cluster, from whatever state."""
    primary = sound_primary(lab)
    if not primary:
        log.say(f"assembling a cluster: {faults(lab)}")
        lab.reset(*NODES)
        lab.play("assemble").check()
        primary = Cluster(lab, "").settle()
    return Cluster(lab, primary)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="random_run.py", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100000, help="of the events (a new one)")
    parser.add_argument("--name", default="chaos", help="the lab's name (%(default)s)")
    parser.add_argument("--subnet", default="198.18.66.0/24", help="the lab's subnet (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the lab up, and use it again the next time")
    parser.add_argument("--go-on", action="store_true", help="after a finding begin with a new cluster")
    parser.add_argument("--sabotage", choices=sorted(SABOTAGES), default="", help="do it after a round: the run fails")
    parser.add_argument("--plan", action="store_true", help="print the first events and do nothing")
    return parser.parse_args()


def carry_out(options: argparse.Namespace, lab: Lab, log: Log, result: Result) -> None:
    wanted, until = rounds(options.seed), time.monotonic() + options.minutes * 60
    while time.monotonic() < until:
        began = time.time()
        try:
            watch = watch_over(cluster(lab, log), log.directory)
            clocks = prepare(lab, log.directory)
            log.say(clocks or "the nodes have clocks of their own")
            with at_work(lab, watch.access, log.directory) as clients:
                Run(lab, log, result, options.sabotage, clocks).rounds(clients, wanted, until)
        except (AssertionError, ChildError, LinkError, ValueError) as error:
            result.findings.append(str(error))
            log.say(f"FINDING with the seed {options.seed}: {error}")
            collect(lab, log.directory / f"finding-{len(result.findings)}", began)
            if options.go_on or options.sabotage:
                lab.reset(*NODES)
            if not options.go_on or options.sabotage:
                return


def main() -> int:
    options = arguments()
    if options.plan:
        for number, wanted in zip(range(20), rounds(options.seed), strict=False):
            print(number + 1, *wanted.events, sep="\n    ")
        return 0
    if os.geteuid() != 0:
        print("chaos: the lab needs root: run the same command with sudo", file=sys.stderr)
        return 1
    directory = random_report.FOLDER / f"seed-{options.seed}"
    log, result = Log(directory), Result(options.seed, options.minutes)
    lab = Lab(options.name, options.subnet, directory / "playbooks")
    lab.forget_connections()
    try:
        lab.up()
        carry_out(options, lab, log, result)
    except KeyboardInterrupt:
        result.findings.append("interrupted by hand")
    finally:
        if not options.keep:
            lab.down()
        if not options.sabotage:
            random_report.keep(result)
        log.say(result.summary())
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
