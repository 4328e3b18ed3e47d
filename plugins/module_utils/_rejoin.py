# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A former primary comes back as the secondary: what only it has is kept, then it is rewound, or copied anew."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _clone
from ._abstain import begin_to_abstain
from ._config import NodeConfig
from ._errors import BackupHaError, BusyError, DeadlineError, RefusedError, UnreachableError
from ._fork import Fork, name_tables
from ._fork_copy import keep, kept_before
from ._fresh_copy import copy_anew, plan_copy
from ._grant import GRANT, try_lock, unlock
from ._leftovers import remove_leftovers
from ._operation import advance, read_operation, refuse_if_busy, renew
from ._postgres import (
    Connection,
    SessionError,
    connect_local,
    connect_peer,
    control_data,
    drop_slot,
    ensure_slot,
    in_recovery,
    one,
    postmaster_pid,
    wait_for_session,
    write_standby_signal,
)
from ._postgres import start as start_server
from ._primary_memory import forget_having_been_primary
from ._rejoin_facts import control_timeline, current_timeline, gather
from ._rejoin_outcome import Outcome
from ._rejoin_plan import CLEAN_STATES, CRASHED_STANDBY, UNCHANGED, plan_rejoin
from ._rewind import rewind
from ._streaming import await_streaming
from ._system import systemctl
from ._unusable import clear_unusable, mark_unusable


@contextmanager
def _alone() -> Iterator[int]:
    """Nothing else may replace this node's data meanwhile. Yields the lock, for programs that outlive this one."""
    _clone.LOCK_PATH.parent.mkdir(parents=True, exist_ok=True)
    with _clone.LOCK_PATH.open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                UNCHANGED,
                ["Another rejoin or copy still works on this node's data. Run this again when it has ended."],
            ) from None
        yield lock.fileno()


def rejoin(config: NodeConfig, timeout: float, discard: bool = False, check: bool = False, record: str = "") -> Outcome:
    """Make this node follow the other one. ``timeout`` bounds each stop, start and first contact, not the copying.

    ``record`` is the identity of the operation that this belongs to. Raises RefusedError (nothing changed) or
    BackupHaError (running it again goes on).
    """
    refuse_if_busy(read_operation(), record, [])
    with _alone() as lock, _peer_session(config) as peer:
        work = _Work(config, peer, timeout, lock)
        outcome = Outcome(work.plan(discard))
        outcome.lost = work.fork
        if "copy" in outcome.steps:
            plan_copy(config)
        if not check:
            work.carry_out(outcome)
    return outcome


@contextmanager
def _peer_session(config: NodeConfig) -> Iterator[Connection | None]:
    try:
        connection = connect_peer(config)
    except UnreachableError:
        yield None
        return
    with connection:
        yield connection


@dataclass
class _Work:
    """One rejoin: what was found out, and how to do each step of the plan."""

    config: NodeConfig
    peer: Connection | None
    timeout: float
    lock: int
    fork: Fork | None = None

    def plan(self, discard: bool) -> list[str]:
        facts = gather(self.config, self.peer, self.timeout)
        self.fork = facts.fork
        return plan_rejoin(facts.local, facts.primary, facts.fork_kept, discard)

    def carry_out(self, outcome: Outcome) -> None:
        """Do what is planned; where the rewind turns out to be impossible, a fresh copy takes its place."""
        steps = set(outcome.steps)
        with self._no_promotion_here(bool(steps & {"stop", "copy"})):
            self._before_stop(steps, outcome)
        if "copy" in steps or ("stop" in steps and not self._rewound(outcome)):
            advance("copy")
            copy_anew(self.config, self.timeout)
            outcome.done("copy")
        if "drop_slot" in steps:
            with connect_local(self.config.postgresql) as connection:
                drop_slot(connection, self.config.peer_slot)
            outcome.done("drop_slot")
        if "start" in steps:
            advance("start")
            self._start()
            outcome.done("start")
        if "await_streaming" in steps and self.peer:
            _ensure_usable_slot(self.peer, self.config.slot)
        if steps & {"start", "await_streaming"}:
            await_streaming(self.config, self.timeout)
            outcome.done("await_streaming")
        outcome.steps = [took["step"] for took in outcome.took]

    @contextmanager
    def _no_promotion_here(self, needed: bool) -> Iterator[None]:
        """Hold this node's lock while its server runs, so that nobody promotes what is about to be replaced."""
        if not needed or postmaster_pid(self.config.postgresql) is None:
            yield
            return
        try:
            connection = connect_local(self.config.postgresql)
        except UnreachableError:
            yield
            return
        with connection:
            if not try_lock(connection, GRANT):
                raise RefusedError(UNCHANGED, [f"{self.config.node} is being promoted at this moment."])
            yield
            unlock(connection, GRANT)

    def _before_stop(self, steps: set[str], outcome: Outcome) -> None:
        if "keep_fork" in steps and self.fork:
            advance("keep_fork")
            outcome.fork = str(self._keep(self.fork))
            outcome.done("keep_fork")
        if "prepare_primary" in steps and self.peer:
            advance("prepare_primary")
            self._prepare_primary(self.peer)
            outcome.done("prepare_primary")

    def _rewound(self, outcome: Outcome) -> bool:
        advance("stop")
        self._stop()
        if control_data(self.config.postgresql).state == CRASHED_STANDBY:
            self._settle()
        outcome.done("stop")
        why = self._why_not_rewound()
        if not why:
            segment_bytes = control_data(self.config.postgresql).segment_bytes
            advance("rewind")
            mark_unusable(outcome.fork)
            begin_to_abstain()
            why = self._rewind(segment_bytes)
        outcome.why_copied = why
        if why:
            return False
        clear_unusable()
        outcome.done("rewind")
        return True

    def _rewind(self, segment_bytes: int) -> str:
        """As rewind(). When the primary went away before anything was changed, this node is again what it was."""
        try:
            return rewind(self.config, segment_bytes, self.lock)
        except UnreachableError:
            clear_unusable()
            start_server(self.config.postgresql, self.timeout)
            raise

    def _settle(self) -> None:
        """Let a standby that was cut off recover, for a clean stop."""
        server = self.config.postgresql
        write_standby_signal(server)
        start_server(server, self.timeout)
        try:
            wait_for_session(server, self.timeout).close()
        except UnreachableError:
            pass  # its state tells
        self._stop()

    def _keep(self, fork: Fork) -> Path:
        return kept_before(fork) or keep(self.config, fork, self._tables(fork), renew)

    def _tables(self, fork: Fork) -> list[dict[str, Any]]:
        """The local server knows tables that the primary never had; but it may not run."""

        def connect(name: str) -> Connection:
            try:
                return connect_local(self.config.postgresql, name)
            except UnreachableError:
                return connect_peer(self.config, dbname=name)

        return name_tables(fork.relations, connect)

    def _prepare_primary(self, peer: Connection) -> None:
        """A slot that keeps WAL from now on, and a control file that names the timeline: pg_rewind reads it there."""
        _ensure_usable_slot(peer, self.config.slot)
        if control_timeline(peer) != current_timeline(peer):
            peer.execute("SET statement_timeout = 0")
            peer.execute("CHECKPOINT")
        if control_timeline(peer) != current_timeline(peer):
            raise BackupHaError(
                f"{self.config.peer} does not name its own timeline after a checkpoint. Run this again in a moment."
            )

    def _stop(self) -> None:
        forget_having_been_primary()
        # Not past systemd, which would start the server again in the middle of the rewind.
        systemctl("stop", self.config.postgresql.unit, timeout=self.timeout)
        if postmaster_pid(self.config.postgresql) is not None:
            raise DeadlineError(f"PostgreSQL on {self.config.node} still runs after systemctl stop. Run this again.")

    def _why_not_rewound(self) -> str:
        """pg_rewind needs a clean stop, and the last checkpoint on the timeline that the WAL ends on."""
        control = control_data(self.config.postgresql)
        if control.state not in CLEAN_STATES:
            return f"the control file says '{control.state}' after the stop"
        if control.timeline < control.recovery_timeline:
            return "the last checkpoint is on an older timeline than the end of the WAL"
        return ""

    def _start(self) -> None:
        server = self.config.postgresql
        try:
            # Anew: the session from the beginning may have ended while data was copied.
            with connect_peer(self.config) as peer:
                _ensure_usable_slot(peer, self.config.slot)
        except (UnreachableError, SessionError):
            pass  # it follows as soon as the primary answers again
        forget_having_been_primary()
        write_standby_signal(server)
        start_server(server, self.timeout)
        with wait_for_session(server, self.timeout) as connection:
            if not in_recovery(connection):
                raise BackupHaError("PostgreSQL came up as a writer although standby.signal exists.")
            # On a standby it would keep WAL for ever.
            drop_slot(connection, self.config.peer_slot)
        remove_leftovers(server.data_directory)


def _ensure_usable_slot(connection: Connection, name: str) -> None:
    """A slot that has lost its WAL serves nobody any more."""
    status = one(connection, "SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", name)
    if status == "lost":
        drop_slot(connection, name)
    ensure_slot(connection, name)
