"""What random runs leave behind: a log, a document with all runs, and a section of docs/faults.md."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.matrix import PAGE, ROWS
from tests.faults.random_operator import Operator
from tests.scenarios.support import NODES, Lab, run

FOLDER = ROWS / "random"
RUNS = FOLDER / "random.json"
TITLE = "## A bad week in minutes"
PROSE = f"""{TITLE}

Written by `make chaos`. The events come from a seed: nodes that freeze, lose power or lose each other in one
direction or both, disks that take no more, killed processes, and meanwhile an operator's switchovers, failovers and
rejoins, of which some are killed, too. A client writes through the endpoint all the time, and others try to write on
each node directly. After each round everything is mended and the operator does what `status` names, until it says
*healthy*. A run fails when two nodes were writers at the same time, when an acknowledged row is gone that no failover
had announced, when the nodes' rows differ, or when `status` does not lead to a healthy cluster within four minutes.

The nodes share a machine, so two faults are imitated: a full disk is a limit on the size of every file of PostgreSQL's,
which its WAL meets at once and which leaves smaller files alone; and a clock that is set is a library between the clock
and PostgreSQL, the collection and SSH sessions, not the Director.

- *by itself*: rounds in which the cluster was in order without a command.
- *lost*: rows that a failover lost, as it had announced; replication is asynchronous.

"""
HEAD = "| seed | rounds | events | by itself | slowest | acknowledged | lost | findings |"


@dataclass
class Log:
    """One line per event, on the terminal and in a file."""

    directory: Path

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._file = (self.directory / "run.log").open("a", encoding="utf-8")

    def say(self, line: str) -> None:
        stamped = f"{time.strftime('%H:%M:%S')} {line}"
        print(stamped, flush=True)
        self._file.write(f"{stamped}\n")
        self._file.flush()


@dataclass
class Told:
    """One round: what happened, and how the cluster came into order."""

    number: int
    primary: str
    events: list[str]
    primary_after: str = ""
    seconds: float = 0.0
    alone: bool = False
    commands: list[str] = field(default_factory=list)
    acknowledged: int = 0
    lost: int = 0
    passed: bool = False

    def healed(self, operator: Operator, primary: str) -> None:
        self.primary_after, self.alone = primary, operator.alone and not operator.commands
        self.seconds = round(time.monotonic() - operator.began, 1)
        self.commands = operator.commands

    def judged(self, acknowledged: int, lost: int) -> None:
        self.acknowledged, self.lost, self.passed = acknowledged, lost, True


@dataclass
class Result:
    """One run."""

    seed: int
    minutes: float
    rounds: list[Told] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.findings and any(told.passed for told in self.rounds)

    def row(self) -> str:
        """The run as a line of the table."""
        passed = [told for told in self.rounds if told.passed]
        columns = [
            self.seed,
            len(passed),
            sum(len(told.events) for told in passed),
            sum(told.alone for told in passed),
            f"{max((told.seconds for told in passed), default=0):.0f} s",
            max((told.acknowledged for told in passed), default=0),
            sum(told.lost for told in passed),
            len(self.findings),
        ]
        return f"| {' | '.join(map(str, columns))} |"

    def summary(self) -> str:
        kinds = Counter(event.split()[0] for told in self.rounds for event in told.events)
        events = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        good = "passed" if self.passed else "FAILED"
        return f"chaos: {good}: seed {self.seed}, {len(self.rounds)} rounds ({events})\n{HEAD}\n{self.row()}"


def keep(result: Result) -> None:
    """Add a run to the document, in the place of an earlier one with its seed, and to the page when there is one."""
    runs = read_runs()
    runs[str(result.seed)] = asdict(result)
    FOLDER.mkdir(parents=True, exist_ok=True)
    RUNS.write_text(json.dumps(runs, indent=2) + "\n", encoding="utf-8")
    if PAGE.exists():
        PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), section(runs)), encoding="utf-8")


def read_runs() -> dict[str, Any]:
    try:
        return dict(json.loads(RUNS.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def section(runs: dict[str, Any]) -> str:
    """The runs as a section of the page; one that was cut off before its first round ended has nothing to say."""
    results = [Result(**{**kept, "rounds": [Told(**told) for told in kept["rounds"]]}) for kept in runs.values()]
    rows = [result.row() for result in results if result.rounds]
    return PROSE + "\n".join([HEAD, "| --- " * HEAD.count(" | ") + "| --- |", *rows]) + "\n"


def with_section(page: str, text: str) -> str:
    """The page with this section at its end, in the place of an earlier one."""
    return f"{page.partition(TITLE)[0].rstrip()}\n\n{text}"


_LOOK = """
journalctl --since @{since} -o short-precise --no-pager
echo; echo ==== PostgreSQL
log=/var/log/postgresql/postgresql-15-main.log
tail -n 100000 $log | grep -v 'read-only transaction$\\|INSERT INTO duet_' | tail -n 600
echo; echo ==== state; ls -la /var/lib/backup-ha /run/backup-ha; head -c 2000 /var/lib/backup-ha/*.json
/usr/lib/postgresql/15/bin/pg_controldata /var/lib/postgresql/15/main
ls -la /var/lib/postgresql/15/main/pg_wal; cat /var/lib/postgresql/15/main/pg_wal/*.history
timeout 20 backup-ha status --json
cd /; timeout 10 runuser -u postgres -- psql -X -d backup_ha -c 'TABLE backup_ha.history'
"""


def collect(lab: Lab, folder: Path, began: float) -> None:
    """Keep what the nodes know, for whoever looks into a finding."""
    folder.mkdir(parents=True, exist_ok=True)
    for node in NODES:
        run("podman", "unpause", f"{lab.name}-{node}", check=False)
        said = lab.sh(node, f"{{ {_LOOK.format(since=int(began))} }} 2>&1", check=False)
        (folder / f"{node}.txt").write_text(said + "\n", encoding="utf-8")
