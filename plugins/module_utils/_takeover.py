# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failover on the secondary: look, fence if that is needed, promote, serve.

Safety: the GRANT lock of this node is held from before the first question to the end, so an old primary that comes back
meanwhile, and asks for it, waits and then follows. Until the promotion is requested nothing but the fence has happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ._config import NodeConfig
from ._database import record_history
from ._endpoint import PreparedEndpoint
from ._errors import BackupHaError, DeadlineError, InDoubtError, RefusedError, UnreachableError, first_line, problem_of
from ._evidence import gather
from ._failover import ANSWERS, NOT_READY, UNREACHABLE, Report, Wishes, describe, examine
from ._fence import find_fence, switch_off
from ._grant import GRANT, try_lock, unlock
from ._lsn import parse_lsn
from ._operation import advance
from ._postgres import Connection, SessionError, connect_local, connect_peer, in_recovery, timeline_of
from ._primary_memory import forget_having_been_primary, remember_being_primary, was_primary
from ._promotion import request_promotion, serve, wait_until_writer
from ._protection import describe_waiting

# PostgreSQL's stop on the old primary gives the endpoint back within this time, and its agent has said so.
LINGER_S = 3.0
REPLAY_STALL_S = 30.0
_WAITS_FOR_WAL = ("RecoveryWalStream", "RecoveryRetrieveRetryInterval")


@dataclass
class Takeover:
    """What was found and done; ``steps`` with the seconds since the command began."""

    changed: bool = False
    report: Report | None = None
    waiting: str = ""
    began: float = field(default_factory=time.time)
    steps: list[dict[str, Any]] = field(default_factory=list)

    def done(self, step: str) -> None:
        self.steps.append({"step": step, "at_s": round(time.time() - self.began, 3)})

    def said(self, node: str) -> list[str]:
        """What was found out, as sentences."""
        found = describe(self.report) if self.report else [f"{node} was the primary already."]
        return [*found, *([self.waiting] if self.waiting else [])]

    def as_dict(self) -> dict[str, Any]:
        report = self.report.as_dict() if self.report else {}
        return {"changed": self.changed, "steps": self.steps, **report}


@dataclass(frozen=True)
class Order:
    """Who asks for a failover, and what he allows; ``control`` is what the control node saw."""

    primary_is_off: bool = False
    max_loss_bytes: int | None = None
    control: dict[str, Any] | None = None
    operation: str = ""
    who: str = "unknown"


def look(config: NodeConfig, order: Order) -> Report:
    """Gather the evidence and judge it. Changes nothing."""
    with connect_local(config.postgresql) as connection:
        return _look(config, connection, order)


def _look(config: NodeConfig, connection: Connection, order: Order, fenced: bool = False) -> Report:
    fence, problem = find_fence()
    wishes = Wishes(
        order.primary_is_off,
        order.max_loss_bytes if order.max_loss_bytes is not None else config.max_loss_bytes,
        can_fence=fence is not None,
        fence_problem=problem,
    )
    deadline = time.monotonic() + LINGER_S
    while True:
        report = examine(gather(config, connection, order.control), wishes, fenced)
        unclear = report.finding.name in (ANSWERS, UNREACHABLE)
        lingers = report.evidence["there"]["port"] == "refused" and unclear
        if not lingers or time.monotonic() > deadline:
            return report
        time.sleep(0.1)


def take_over(config: NodeConfig, order: Order) -> Takeover:
    """Make this node the primary. Raises RefusedError (nothing changed) or InDoubtError (look at the cluster)."""
    takeover = Takeover()
    with connect_local(config.postgresql) as connection:
        if not in_recovery(connection):
            # An earlier one was interrupted, or this is a second one: what is left is to serve.
            serve(config, connection)
            takeover.done("serving")
            takeover.waiting = describe_waiting(config, connection)
            return takeover
        if not try_lock(connection, GRANT):
            raise RefusedError(
                "Nothing was changed.", [f"Another promotion is under way: its lock is held on {config.node}."]
            )
        try:
            _check(config, connection, order, takeover)
            with _grant_of_peer(config, takeover):
                _promote(config, connection, order, takeover)
            takeover.waiting = describe_waiting(config, connection)
        finally:
            if not connection.closed:
                unlock(connection, GRANT)
    return takeover


def _check(config: NodeConfig, connection: Connection, order: Order, takeover: Takeover) -> None:
    """Everything that can still speak against it, and the fence."""
    takeover.report = _look(config, connection, order)
    takeover.done("evidence")
    _refuse(takeover.report)
    if takeover.report.fence_needed:
        try:
            _switch_off(config)
        except BackupHaError as error:
            raise RefusedError("This node was not promoted.", [str(error)], report=takeover.report.as_dict()) from error
        takeover.done("fence")
        takeover.report = _look(config, connection, order, fenced=True)
        _refuse(takeover.report, after_fence=True)
    await_everything_replayed(connection, config)
    takeover.done("replayed")


def _switch_off(config: NodeConfig) -> None:
    fence, problem = find_fence()
    if fence is None:
        raise BackupHaError(problem or "The fence has been removed meanwhile.")
    advance("fence")
    switch_off(fence, config)


def _refuse(report: Report, after_fence: bool = False) -> None:
    reasons = list(report.refusals)
    if after_fence and report.finding.name in (ANSWERS, NOT_READY):
        reasons = ["The fence reported success, and all the same:", *report.finding.reasons]
    if reasons:
        raise RefusedError("Nothing was changed.", reasons, report=report.as_dict())


def await_everything_replayed(connection: Connection, config: NodeConfig) -> None:
    """Wait until the server has replayed all it has. It may end in the middle of a record, which is never replayed;
    then the startup process waits for more."""
    moved, before, idle = time.monotonic(), "", 0
    while True:
        replayed, received, event = connection.execute(
            "SELECT pg_last_wal_replay_lsn()::text, pg_last_wal_receive_lsn()::text,"
            " (SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup')"
        ).fetchone() or ("", "", "")
        if replayed and received and parse_lsn(replayed) >= parse_lsn(received):
            return
        idle = idle + 1 if event in _WAITS_FOR_WAL and replayed == before else 0
        if idle >= 3:
            return
        if replayed != before:
            moved, before = time.monotonic(), replayed
        elif time.monotonic() - moved > REPLAY_STALL_S:
            raise DeadlineError(
                f"{config.node} has received WAL up to {received} and replays nothing beyond {replayed} "
                f"({event or 'no wait event'}); PostgreSQL's log says why."
            )
        time.sleep(0.005)


@contextmanager
def _grant_of_peer(config: NodeConfig, takeover: Takeover) -> Iterator[None]:
    """Hold the lock on the old primary as well, where it answers as a standby."""
    if takeover.report is None or takeover.report.evidence["there"]["session"] != "standby":
        yield
        return
    with closing(_lock_peer(config)):
        yield


def _lock_peer(config: NodeConfig) -> Connection:
    """A session that holds the lock on the other node."""
    try:
        peer = connect_peer(config)
        if not in_recovery(peer):
            reason = f"{config.peer} accepts writes again."
        elif not try_lock(peer, GRANT):
            reason = f"Another promotion is under way: its lock is held on {config.peer}."
        else:
            return peer
        peer.close()
    except (UnreachableError, SessionError):
        reason = f"{config.peer} answered a moment ago and does not any more. Look again."
    raise RefusedError("Nothing was changed.", [reason])


def _promote(config: NodeConfig, connection: Connection, order: Order, takeover: Takeover) -> None:
    with closing(PreparedEndpoint(config.endpoint)) as endpoint:
        advance("promote")
        remembered = was_primary()
        remember_being_primary(config)
        try:
            request_promotion(connection)
        except SessionError as error:
            if connection.closed:
                raise _in_doubt(config) from error
            if not remembered:
                forget_having_been_primary()
            raise BackupHaError(f"{config.node} refused its promotion: {first_line(error)}") from error
        takeover.changed = True
        try:
            wait_until_writer(connection)
        except SessionError as error:
            raise _in_doubt(config) from error
        takeover.done("promoted")
        endpoint.take()
        takeover.done("endpoint")
        endpoint.announce()
        with suppress(OSError):  # whoever is the writer serves, even with a full disk
            advance("serve")
        _serve(config, connection, order, takeover)


def _in_doubt(config: NodeConfig) -> InDoubtError:
    return InDoubtError(
        f"{config.node} was told to become primary, and its PostgreSQL ended before it said that it did. It starts "
        "again read-only and asks to go on. Look at the cluster: backup-ha status."
    )


def _serve(config: NodeConfig, connection: Connection, order: Order, takeover: Takeover) -> None:
    """The rest is not needed by clients that wait for the database; the history comes with it or without."""
    problem = ""
    try:
        serve(config, connection)
    except (BackupHaError, SessionError) as error:
        problem = problem_of(error)
    takeover.done("serving")
    try:
        record_history(config.postgresql, _history(config, connection, order, takeover, problem))
    except (BackupHaError, SessionError) as error:
        problem = problem or f"the history could not be written: {problem_of(error)}"
    if problem:
        raise InDoubtError(
            f"{config.node} accepts writes and has the endpoint, but not everything was done: {problem} "
            f"On {config.node}: backup-ha resume."
        )


def _history(
    config: NodeConfig, connection: Connection, order: Order, takeover: Takeover, problem: str
) -> dict[str, Any]:
    return {
        "operation": order.operation or f"{config.cluster}-failover-{takeover.began:.3f}",
        "kind": "failover",
        "from_node": config.peer,
        "to_node": config.node,
        "timeline": timeline_of(connection),
        "started": takeover.began,
        "outcome": "incomplete" if problem else "done",
        "who": order.who,
        "why": takeover.report.why if takeover.report else None,
    }
