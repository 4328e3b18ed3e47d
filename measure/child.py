"""Measuring processes: start one, know that it is at work, end it.

The parent writes the specification as one line of JSON to the child's standard input and keeps that open; its
end tells the child to stop. So a child never outlives its parent, and no password is on a command line.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar, cast

from measure.records import Outcome, Record, encode

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ROOT = Path(__file__).resolve().parent.parent
S = TypeVar("S")
Note = Callable[[Record], None]
Stop = Callable[[], bool]


class ChildError(Exception):
    """A measuring process did not start or did not end as it should."""


class Child:
    """One measuring process, started at once; its records are in `path` when it has ended."""

    def __init__(self, module: str, spec: DataclassInstance, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self.path = path
        self._module = module
        command = [sys.executable, "-m", module, str(path.resolve())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        line = json.dumps(asdict(spec)) + "\n"
        stdin = cast("IO[str]", self._process.stdin)
        stdin.write(line)
        stdin.flush()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until_answered(self, timeout: float = 30.0) -> None:
        """Until a server has answered it: a write accepted or refused. ChildError otherwise."""
        stdout = cast("IO[str]", self._process.stdout)
        ready, _, _ = select.select([stdout], [], [], timeout)
        if not ready or not stdout.readline():
            self.stop()
            raise ChildError(f"{self._module}: no server answered within {timeout:.0f} s. {self._last()}")

    def _last(self) -> str:
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        return f"Its last record: {lines[-1]}" if lines else "It left no record."

    def stop(self, timeout: float = 10.0) -> None:
        """Let it finish and close its file; one that hangs is killed. May be called twice."""
        if self._process.poll() is None:
            try:
                self._process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()


def serve(spec_type: type[S], work: Callable[[S, Note, Stop], None]) -> int:
    """Be the child: read the specification, note records in the file argv[1], stop when input ends."""
    spec = spec_type(**json.loads(sys.stdin.readline()))
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    _prefer_this_process()
    with Path(sys.argv[1]).open("w", encoding="utf-8") as file:
        work(spec, _notebook(file.write, file.flush), ended.is_set)
    return 0


def _notebook(write: Callable[[str], object], flush: Callable[[], object]) -> Note:
    """Write records down, flush once a second, and say on standard output when a server first answered."""
    state = {"answered": False, "flushed": time.monotonic()}

    def note(record: Record) -> None:
        write(encode(record))
        outcome = getattr(record, "outcome", None)
        if not state["answered"] and outcome in (Outcome.ACCEPTED, Outcome.REFUSED):
            state["answered"] = True
            print("answered", flush=True)
        if time.monotonic() - state["flushed"] > 1:
            state["flushed"] = time.monotonic()
            flush()

    return note


def _prefer_this_process() -> None:
    """On one machine the control node's work must not look like a silence of the cluster."""
    with contextlib.suppress(OSError):  # not root: the figures are then as good as the machine is idle
        os.nice(-5)
