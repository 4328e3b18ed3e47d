# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A former primary comes back as the secondary: what only it has is kept, then it is rewound, or copied anew."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _clone
from ._abstain import begin_to_abstain
from ._config import NodeConfig
from ._errors import BackupHaError, DeadlineError, RefusedError, UnreachableError
from ._fork import Fork, name_tables, read_fork
from ._fork_copy import keep, kept_before, space_for
from ._grant import GRANT, try_lock, unlock
from ._lsn import format_bytes, format_lsn, parse_lsn
from ._operation import advance, read_operation, refuse_if_busy, renew
from ._past import read_past
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
    rows,
    timeline_of,
    wait_for_session,
    write_standby_signal,
)
from ._postgres import start as start_server
from ._promotion import forget_having_been_primary
from ._rejoin_plan import CLEAN_STATES, CRASHED_STANDBY, UNCHANGED, plan_rejoin
from ._rewind import rewind
from ._system import systemctl
from ._timeline import Stretch, history_file, parse_history, parted, same_number, segment_name
from ._unusable import clear_unusable, mark_unusable, read_unusable


@dataclass
class Outcome:
    """What was done, or would be; ``fork`` is the folder that holds what only this node had."""

    steps: list[str]
    fork: str = ""
    lost: Fork | None = None
    why_copied: str = ""
    took: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def changed(self) -> bool:
        """Waiting until a standby that runs has caught up changes nothing."""
        return bool(set(self.steps) - {"await_streaming"})

    def done(self, step: str) -> None:
        self.took.append({"step": step, "at_s": round(time.monotonic() - self.began, 3)})


def report(config: NodeConfig, outcome: Outcome, check: bool) -> list[str]:
    """The outcome for a person. Pure."""
    lines = []
    lost = outcome.lost
    if lost:
        lines.append(
            f"{config.node}: {format_bytes(lost.bytes)} of WAL with {lost.commits} committed transactions, from "
            f"{format_lsn(lost.begin)} to {format_lsn(lost.end)}, never reached {config.peer}."
        )
    if check:
        said = "would follow by: " + ", ".join(outcome.steps) if outcome.changed else "has nothing to do"
        return [*lines, f"{config.node}: {said}"]
    if outcome.fork:
        lines.append(f"{config.node}: they are kept in {outcome.fork}; read summary.txt there")
    elif lost:
        lines.append(f"{config.node}: they could not be kept and are gone, as was allowed")
    if "copy" in outcome.steps:
        because = f": {outcome.why_copied}" if outcome.why_copied else ""
        lines.append(f"{config.node}: was copied anew{because}")
    return [*lines, f"{config.node}: follows {config.peer}"]


@contextmanager
def _alone() -> Iterator[int]:
    """Nothing else may replace this node's data meanwhile. Yields the lock, for programs that outlive this one."""
    _clone.LOCK_PATH.parent.mkdir(parents=True, exist_ok=True)
    with _clone.LOCK_PATH.open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(
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
            work.plan_copy()
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
        server = self.config.postgresql
        local = self._observe_local()
        primary = self._observe_primary()
        # One that has a fork streams for moments, up to the fork.
        local["streaming"] = primary is not None and local["receives_on"] == primary["timeline"]
        fork = None
        same = primary is not None and local["system_identifier"] == primary["system_identifier"]
        busy = local["role"] == "primary" or local["unusable"] or local["streaming"]
        if self.peer and primary and same and not (primary["in_recovery"] or busy):
            segment_bytes = control_data(server).segment_bytes
            past = read_past(server.data_directory, local["timeline"], local["known_end"], segment_bytes)
            other = _past_of_peer(self.peer, primary["timeline"])
            since = parted(past, other)
            if since:
                self.fork = read_fork(server, since, local["known_end"], segment_bytes)
            local["rewindable"] = local["rewindable"] and not same_number(past, other)
            needed_from = self.fork.begin if self.fork else local["known_end"]
            primary["has_wal"] = _has_wal(self.peer, other, needed_from, segment_bytes)
            if self.fork:
                needed, free = space_for(self.fork, segment_bytes)
                kept = kept_before(self.fork)
                fork = {"missing": self.fork.missing, "needed_bytes": needed, "free_bytes": free, "kept": bool(kept)}
        return plan_rejoin(local, primary, fork, discard)

    def _observe_local(self) -> dict[str, Any]:
        server = self.config.postgresql
        there = Path(server.data_directory, "global/pg_control").exists()
        control = control_data(server) if there else None
        facts: dict[str, Any] = {
            "node": self.config.node,
            "unit": server.unit,
            "role": "stopped",
            "receives_on": 0,
            "leftover_slot": False,
            "unusable": read_unusable() is not None,
            "system_identifier": control.system_identifier if control else None,
            "rewindable": False,
            "timeline": 0,
            "known_end": 0,
        }
        replayed = "0/0"
        session = self._local_session()
        if session:
            with session as connection:
                facts["role"] = "secondary" if in_recovery(connection) else "primary"
                replayed = one(connection, "SELECT pg_last_wal_replay_lsn()::text") or "0/0"
                facts["receives_on"] = _receives_on(connection)
                query = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s AND NOT active"
                slots = one(connection, query, self.config.peer_slot)
                facts["leftover_slot"] = facts["role"] == "secondary" and bool(slots)
            control = control_data(server)
        if control:
            facts["timeline"] = max(control.timeline, control.recovery_timeline)
            facts["known_end"] = max(map(parse_lsn, (replayed, control.recovery_lsn, control.checkpoint_lsn)))
            facts["rewindable"] = (control.wal_log_hints or control.checksums) and (
                facts["role"] != "stopped" or control.state in (*CLEAN_STATES, CRASHED_STANDBY)
            )
        return facts

    def _local_session(self) -> Connection | None:
        """Wait for a server that starts; not for one that ends again and again, whose disk has to do."""
        deadline = time.monotonic() + min(self.timeout, 30.0)
        while postmaster_pid(self.config.postgresql) is not None and time.monotonic() < deadline:
            try:
                return connect_local(self.config.postgresql)
            except UnreachableError:
                time.sleep(0.05)
        return None

    def _observe_primary(self) -> dict[str, Any] | None:
        if self.peer is None:
            return None
        facts: dict[str, Any] = rows(
            self.peer,
            "SELECT pg_is_in_recovery() AS in_recovery,"
            " (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier",
        )[0]
        return {**facts, "node": self.config.peer, "timeline": _timeline_of(self.peer), "has_wal": False}

    def carry_out(self, outcome: Outcome) -> None:
        """Do what is planned; where the rewind turns out to be impossible, a fresh copy takes its place."""
        steps = set(outcome.steps)
        with self._no_promotion_here(bool(steps & {"stop", "copy"})):
            self._before_stop(steps, outcome)
        if "copy" in steps or ("stop" in steps and not self._rewound(outcome)):
            advance("copy")
            self._copy()
            outcome.done("copy")
        if "drop_slot" in steps:
            with connect_local(self.config.postgresql) as connection:
                drop_slot(connection, self.config.peer_slot)
            outcome.done("drop_slot")
        if "start" in steps:
            advance("start")
            self._start()
            outcome.done("start")
        if steps & {"start", "await_streaming"}:
            self._await_streaming()
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
        if _control_timeline(peer) != _timeline_of(peer):
            peer.execute("SET statement_timeout = 0")
            peer.execute("CHECKPOINT")
        if _control_timeline(peer) != _timeline_of(peer):
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

    def plan_copy(self) -> list[str]:
        """Raises RefusedError when there is no room for a copy beside the old directory."""
        local = {
            "role": "stopped",
            "state": None,
            "copied": False,
            "system_identifier": None,
            "holds_data": True,
            "free_bytes": _free_bytes(Path(self.config.postgresql.data_directory).parent),
        }
        return _clone.plan_clone(local, _clone.observe_primary(self.config), erase=True)

    def _copy(self) -> None:
        try:
            steps = self.plan_copy()
        except RefusedError as error:
            raise BackupHaError(f"{self.config.node} needs a fresh copy. {' '.join(error.reasons)}") from error
        _clone.clone(self.config, [step for step in steps if step != "start"], self.timeout)
        clear_unusable()

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

    def _await_streaming(self) -> None:
        """On the primary's timeline: until it gets there, a standby may stream for a moment up to a fork."""
        deadline = time.monotonic() + self.timeout
        with connect_peer(self.config) as peer, wait_for_session(self.config.postgresql, self.timeout) as connection:
            wanted = _timeline_of(peer)
            while _receives_on(connection) != wanted:
                if time.monotonic() > deadline:
                    raise DeadlineError(
                        f"{self.config.node} runs but does not stream from {self.config.peer} after "
                        f"{self.timeout:.0f} s; PostgreSQL's log on {self.config.node} says why."
                    )
                time.sleep(0.02)


def _receives_on(connection: Connection) -> int:
    """The timeline that this standby receives at the moment; 0 when it does not."""
    return int(one(connection, "SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'") or 0)


def _free_bytes(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _timeline_of(connection: Connection) -> int:
    """A writer's timeline is in the name of the segment that it writes, whatever its control file says yet."""
    if in_recovery(connection):
        return _control_timeline(connection)
    return timeline_of(connection)


def _control_timeline(connection: Connection) -> int:
    return int(one(connection, "SELECT timeline_id FROM pg_control_checkpoint()"))


def _past_of_peer(connection: Connection, timeline: int) -> list[Stretch]:
    text = ""
    if timeline > 1:
        content = one(connection, "SELECT pg_read_binary_file(%s)", f"pg_wal/{history_file(timeline)}")
        text = bytes(content).decode()
    return parse_history(text, timeline)


def _has_wal(connection: Connection, past: list[Stretch], lsn: int, segment_bytes: int) -> bool:
    """What the primary wrote after this position is still on its disk, under the name of any timeline of its past."""
    if not one(connection, "SELECT pg_current_wal_lsn() > %s::pg_lsn", format_lsn(lsn)):
        return True
    names = [f"pg_wal/{segment_name(stretch.timeline, lsn, segment_bytes)}" for stretch in past]
    query = "SELECT count(s.size) FROM unnest(%s::text[]) AS f(name), LATERAL pg_stat_file(f.name, true) AS s"
    return bool(one(connection, query, names))


def _ensure_usable_slot(connection: Connection, name: str) -> None:
    """A slot that has lost its WAL serves nobody any more."""
    status = one(connection, "SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", name)
    if status == "lost":
        drop_slot(connection, name)
    ensure_slot(connection, name)
