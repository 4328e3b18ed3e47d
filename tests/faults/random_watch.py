"""The clients of a random run: one writes through the endpoint, one per node tries to write there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from measure import probe, writer
from measure.access import Access
from measure.child import Child
from measure.records import Attempt, Outcome, Probe, Record, decode
from tests.faults.random_judge import Writers
from tests.scenarios.support import NODES, Lab

PACE_MS = 20.0
FLUSHED_S = 1.5  # a child writes its records to disk once a second


@dataclass
class Tail:
    """The records that a child has added to its file since the last look."""

    path: Path
    at: int = 0

    def read(self) -> Iterator[Record]:
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(self.at)
            for line in file:
                if not line.endswith(b"\n"):  # the rest of it comes with the next look
                    return
                self.at += len(line)
                yield decode(line.decode())


@dataclass
class Clients:
    """`run` names the writer's rows; `acknowledged` are in the order in which they were written."""

    run: str
    access: Access
    tails: list[Tail]
    acknowledged: list[Attempt] = field(default_factory=list)
    writers: Writers = field(default_factory=Writers)
    broken: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Take in what was seen up to now."""
        time.sleep(FLUSHED_S)
        for tail in self.tails:
            for record in tail.read():
                self._take(record)

    def _take(self, record: Record) -> None:
        if isinstance(record, Probe):
            self.writers.add([record])
        if isinstance(record, Attempt) and record.outcome is Outcome.ACCEPTED:
            self.acknowledged.append(record)
        if isinstance(record, Probe | Attempt) and record.outcome is Outcome.BROKEN:
            self.broken.append(record.note)


@contextmanager
def at_work(lab: Lab, access: Access, directory: Path) -> Iterator[Clients]:
    """Let the clients work for as long as the block takes."""
    run = f"{time.time_ns():x}"
    with ExitStack() as stack:
        spec = writer.Spec(access.conninfo(lab.endpoint), run, PACE_MS, "quick")
        children = [stack.enter_context(Child("measure.writer", spec, directory / f"{run}-writer.jsonl"))]
        for node in NODES:
            wanted = probe.Spec(access.conninfo(lab.address(node)), node, PACE_MS)
            children.append(stack.enter_context(Child("measure.probe", wanted, directory / f"{run}-{node}.jsonl")))
        for child in children:
            child.wait_until_answered()
        yield Clients(run, access, [Tail(child.path) for child in children])
