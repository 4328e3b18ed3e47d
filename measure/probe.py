"""Tries a real write on one node at its own address every few milliseconds, and notes what came of it.

One process a node (`python -m measure.probe`); `measure.writers` judges what the processes noted.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from measure import child
from measure.link import Limits, Link, LinkError, QueryError, connect
from measure.records import Outcome, Probe, Record

# The timeline is read inside the same statement, so it is the one that the row was written on.
INSERT = (
    b"INSERT INTO duet_probe (node) VALUES ($1)"
    b" RETURNING ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int"
)
# Reasons for having no connection that say something about the server. Any other (a password, pg_hba.conf,
# a certificate, a database that is not there) is a fault of the measuring and must not look like a refusal.
_NO_SERVER = re.compile(
    "refused|time-out|timed out|no route|unreachable|reset by peer|broken pipe|EOF detected|closed"
    "|the database system is|terminating connection|too many clients|connection slots",
    re.IGNORECASE,
)
# What a server says that will not write: read-only, shutting down, crashed, starting, full, no state.
_REFUSALS = {"25006", "57P01", "57P02", "57P03", "53300", "55000"}


@dataclass(frozen=True)
class Spec:
    """Which node to probe. `conninfo` names the node's own address, never the endpoint."""

    conninfo: str
    node: str
    pace_ms: float = 5.0
    patience_ms: float = 200.0  # bounds each of connecting and asking, and with them the time not watched


class Prober:
    """Keeps one connection, because connecting anew for each probe would slow the servers being watched."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        patience = spec.patience_ms / 1000
        self._limits = Limits(patience, patience, patience, patience, tries=1)
        self._link: Link | None = None

    def probe(self) -> Probe:
        """One write tried; never raises for what a server or network does."""
        started = time.monotonic()
        try:
            if self._link is None:
                self._link = connect(self._spec.conninfo, self._limits, 10)
        except LinkError as error:
            known = _NO_SERVER.search(str(error))
            return self._failed(started, Outcome.UNREACHABLE if known else Outcome.BROKEN, error)
        started = time.monotonic()
        try:
            rows = self._link.ask(INSERT, [self._spec.node.encode()], self._limits.query)
        except QueryError as error:
            outcome = Outcome.REFUSED if error.sqlstate in _REFUSALS else Outcome.BROKEN
            return self._failed(started, outcome, error, keep=outcome is Outcome.REFUSED)
        except LinkError as error:
            return self._failed(started, Outcome.DOUBT, error)
        return Probe(self._spec.node, int(rows[0][0]), started, time.monotonic(), Outcome.ACCEPTED)

    def work(self, note: Callable[[Record], None], stop: Callable[[], bool]) -> None:
        """Probe at the set pace until told to stop."""
        while not stop():
            began = time.monotonic()
            note(self.probe())
            time.sleep(max(0.0, began + self._spec.pace_ms / 1000 - time.monotonic()))

    def _failed(self, started: float, outcome: Outcome, error: LinkError, keep: bool = False) -> Probe:
        if self._link and not keep:
            self._link.close()
            self._link = None
        note = f"{error.sqlstate} {error}".strip()
        return Probe(self._spec.node, None, started, time.monotonic(), outcome, note)


def main() -> int:
    """Entry point of the child process."""
    return child.serve(Spec, lambda spec, note, stop: Prober(spec).work(note, stop))


if __name__ == "__main__":
    raise SystemExit(main())
