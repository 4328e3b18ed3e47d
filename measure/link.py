"""A libpq connection whose every wait is bounded and whose connecting does not depend on one lost packet.

A SYN that meets nobody is repeated by the kernel after 1 s, 3 s, 7 s: a client that waits for that measures
the kernel and not the cluster. `QUICK` therefore starts another attempt every few milliseconds while earlier
ones meet silence, and takes the first that is answered. `PATIENT` connects as libpq does by itself, for
comparison.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from psycopg import pq

_POLL_S = 0.05  # how often a wait looks whether it is told to stop


@dataclass(frozen=True)
class Limits:
    """All in seconds."""

    silence: float  # an attempt whose SYN is not answered by then is given up
    stagger: float  # between the starts of two attempts
    handshake: float  # TLS, password, start of the session
    query: float
    tries: int | None = None  # attempts after which connecting fails; None: as long as it is let


QUICK = Limits(silence=0.1, stagger=0.005, handshake=1.0, query=1.0)
PATIENT = Limits(silence=60.0, stagger=60.0, handshake=60.0, query=60.0, tries=1)
LIMITS = {"quick": QUICK, "patient": PATIENT}


class LinkError(Exception):
    """The connection failed or was lost; `sqlstate` and `severity` are empty when the server said nothing."""

    def __init__(self, message: str, sqlstate: str = "", severity: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.severity = severity


class NotSentError(LinkError):
    """The statement did not reach the server."""


class QueryError(LinkError):
    """The server answered with an error, and the connection may still be good."""


@dataclass
class Tally:
    """What connecting took."""

    tries: int = 0
    silent: int = 0  # attempts that met no answer at all
    last_error: str = ""


@dataclass
class _Attempt:
    conn: pq.abc.PGconn
    deadline: float
    want: pq.PollingStatus = pq.PollingStatus.WRITING
    answered: bool = False


@dataclass
class _Race:
    """Attempts under way; the first one that the server answers is carried through alone."""

    conninfo: bytes
    limits: Limits
    tally: Tally
    running: list[_Attempt] = field(default_factory=list)
    next_start: float = 0.0

    @property
    def spent(self) -> bool:
        """Nothing is under way and no further attempt is allowed."""
        return not self.running and self.limits.tries is not None and self.tally.tries >= self.limits.tries

    def step(self, now: float) -> pq.abc.PGconn | None:
        """Start, drop and poll what is due; returns a finished connection or None."""
        self._drop_late(now)
        if now >= self.next_start and self._may_start():
            self._start(now)
        for attempt in self._ready(now):
            attempt.want = pq.PollingStatus(attempt.conn.connect_poll())
            if attempt.want is pq.PollingStatus.OK:
                self.running.remove(attempt)
                return attempt.conn
            if attempt.want is pq.PollingStatus.FAILED:
                self._drop(attempt)
            elif not attempt.answered and attempt.conn.status != pq.ConnStatus.STARTED:
                self._go_on_alone(attempt)
                break
        return None

    def close(self) -> None:
        for attempt in self.running:
            attempt.conn.finish()
        self.running.clear()

    def _go_on_alone(self, attempt: _Attempt) -> None:
        """The server answered this one: one handshake is load enough for a server that has just started."""
        self.running.remove(attempt)
        self.tally.silent += len(self.running)
        self.close()
        self.running.append(attempt)
        attempt.answered = True
        attempt.deadline = time.monotonic() + self.limits.handshake

    def _may_start(self) -> bool:
        allowed = self.limits.tries is None or self.tally.tries < self.limits.tries
        return allowed and not any(a.answered for a in self.running)

    def _start(self, now: float) -> None:
        self.next_start = now + self.limits.stagger
        self.tally.tries += 1
        conn = pq.PGconn.connect_start(self.conninfo)
        attempt = _Attempt(conn, now + self.limits.silence)
        self.running.append(attempt)
        if conn.status == pq.ConnStatus.BAD:
            self._drop(attempt)

    def _drop_late(self, now: float) -> None:
        for attempt in [a for a in self.running if now >= a.deadline]:
            if not attempt.answered:
                self.tally.silent += 1
            self.tally.last_error = "time-out in " + ("handshake" if attempt.answered else "connect")
            attempt.conn.finish()
            self.running.remove(attempt)

    def _drop(self, attempt: _Attempt) -> None:
        self.tally.last_error = attempt.conn.get_error_message().strip()
        attempt.conn.finish()
        self.running.remove(attempt)

    def _ready(self, now: float) -> list[_Attempt]:
        until = min([a.deadline for a in self.running] + [now + _POLL_S])
        if self._may_start():
            until = min(until, self.next_start)
        reading = {a.conn.socket: a for a in self.running if a.want is pq.PollingStatus.READING}
        writing = {a.conn.socket: a for a in self.running if a.want is pq.PollingStatus.WRITING}
        can_read, can_write, _ = select.select(reading, writing, [], max(0.0, until - now))
        return [reading[fd] for fd in can_read] + [writing[fd] for fd in can_write]


def connect(
    conninfo: str,
    limits: Limits,
    give_up_after: float,
    stop: Callable[[], bool] = lambda: False,
    tally: Tally | None = None,
) -> Link:
    """A connection, within `give_up_after` seconds; LinkError with the last reason otherwise."""
    tally = Tally() if tally is None else tally
    race = _Race(conninfo.encode(), limits, tally)
    deadline = time.monotonic() + give_up_after
    try:
        while (now := time.monotonic()) < deadline and not race.spent and not stop():
            conn = race.step(now)
            if conn is not None:
                return Link(conn)
    finally:
        race.close()
    raise LinkError(tally.last_error or "no answer")


class Link:
    """One open connection."""

    def __init__(self, conn: pq.abc.PGconn) -> None:
        self._conn = conn
        conn.nonblocking = 1

    def ask(self, sql: bytes, values: list[bytes], timeout: float) -> list[list[str]]:
        """Send one statement and return its rows as text, with '' for NULL.

        Raises QueryError if the server refused it, NotSentError if it could not be sent, and plain LinkError
        if no answer came in time or the connection broke: then nobody knows whether it was carried out.
        """
        deadline = time.monotonic() + timeout
        try:
            self._conn.send_query_params(sql, list(values))
        except psycopg.Error as error:
            raise NotSentError(str(error)) from error
        try:
            while self._conn.flush():
                self._wait(deadline, writing=True)
            return self._answer(deadline)
        except psycopg.Error as error:
            raise LinkError(str(error)) from error

    def close(self) -> None:
        self._conn.finish()

    def _wait(self, deadline: float, writing: bool = False) -> None:
        left = deadline - time.monotonic()
        fd = [self._conn.socket]
        if left <= 0 or not any(select.select(fd, fd if writing else [], [], left)):
            raise LinkError("no answer in time")

    def _answer(self, deadline: float) -> list[list[str]]:
        rows: list[list[str]] = []
        refused: QueryError | None = None
        while True:
            while self._conn.is_busy():
                self._wait(deadline)
                self._conn.consume_input()
            result = self._conn.get_result()
            if result is None and refused:
                raise refused
            if result is None:
                return rows
            try:
                _raise_for(result)
            except QueryError as error:  # the session goes on once its answer has been read to the end
                refused = error
            rows += [
                [(result.get_value(row, column) or b"").decode() for column in range(result.nfields)]
                for row in range(result.ntuples)
            ]


def _raise_for(result: pq.abc.PGresult) -> None:
    """Raise what the server said, if it said no."""
    if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        return
    sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    severity = (result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) or b"").decode()
    message = result.get_error_message().strip()
    # A FATAL or a break of the connection ends the session: what became of the statement is not known.
    kind = QueryError if severity == "ERROR" else LinkError
    raise kind(message, sqlstate, severity)
