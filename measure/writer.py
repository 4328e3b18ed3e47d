"""A client that keeps committing numbered rows through one address and notes what became of each.

Runs as a process of its own (`python -m measure.writer`), so that the measuring program does not delay it.
See `measure.child` for how it is started and ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from measure import child
from measure.link import LIMITS, Limits, Link, LinkError, NotSentError, QueryError, Tally, connect
from measure.records import Attempt, Connect, Outcome, Record

INSERT = b"INSERT INTO duet_written (run, number) VALUES ($1, $2)"
_RETRY_S = 0.003


@dataclass(frozen=True)
class Spec:
    """What to write where. `conninfo` is libpq's; `mode` is a key of `measure.link.LIMITS`."""

    conninfo: str
    run: str
    pace_ms: float = 2.0
    mode: str = "quick"


class Writer:
    """Numbers count up with each statement sent, so a number stands for one attempt for ever."""

    def __init__(self, spec: Spec, note: Callable[[Record], None], stop: Callable[[], bool]) -> None:
        self._spec = spec
        self._limits: Limits = LIMITS[spec.mode]
        self._note = note
        self._stop = stop
        self._link: Link | None = None
        self._number = 0

    def work(self) -> None:
        """Write at the set pace until told to stop; time lost is not caught up with a burst."""
        due = time.monotonic()
        while not self._stop():
            if self._link is None:
                self._reconnect()
                continue
            self._write(self._link)
            due = max(due + self._spec.pace_ms / 1000, time.monotonic())
            if self._link is not None:
                time.sleep(max(0.0, due - time.monotonic()))
        if self._link:
            self._link.close()

    def _reconnect(self) -> None:
        started = time.monotonic()
        tally = Tally()
        try:
            self._link = connect(self._spec.conninfo, self._limits, 3600, self._stop, tally)
        except LinkError:
            time.sleep(_RETRY_S)
        self._note(Connect(started, time.monotonic(), tally.tries, tally.silent, tally.last_error))

    def _write(self, link: Link) -> None:
        self._number += 1
        number = str(self._number).encode()
        started = time.monotonic()
        outcome, text = Outcome.ACCEPTED, ""
        try:
            link.ask(INSERT, [self._spec.run.encode(), number], self._limits.query)
        except QueryError as error:
            outcome, text = Outcome.REFUSED, f"{error.sqlstate} {error}"
            # A session on a server that turned read-only stays read-only: ask for a new one, as clients do.
            self._drop()
            time.sleep(_RETRY_S)
        except NotSentError as error:
            outcome, text = Outcome.UNREACHABLE, str(error)
            self._drop()
        except LinkError as error:
            outcome, text = Outcome.DOUBT, f"{error.sqlstate} {error}"
            self._drop()
        self._note(Attempt(self._number, started, time.monotonic(), outcome, text))

    def _drop(self) -> None:
        if self._link:
            self._link.close()
        self._link = None


def main() -> int:
    """Entry point of the child process."""
    return child.serve(Spec, lambda spec, note, stop: Writer(spec, note, stop).work())


if __name__ == "__main__":
    raise SystemExit(main())
