# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rejoin by itself: what the agent sees of the two nodes, and when it starts the unit (_auto_rejoin_attempt.py)."""

from __future__ import annotations

import time
from pathlib import Path

from ._auto_rejoin_decision import (
    DECLINE,
    DECLINED,
    FORGET,
    RUNNING,
    START,
    Look,
    Memory,
    Need,
    Own,
    Primary,
    Record,
    begun,
    decide,
    ended,
    find_need,
)
from ._auto_rejoin_record import forget_record, read_record, this_start, write_record
from ._config import REJOIN_UNIT, NodeConfig
from ._errors import UnreachableError
from ._events import say
from ._grant import GRANT, locks_held
from ._leftovers import outgoing
from ._lsn import parse_lsn
from ._operation import boot_id, is_left_over, read_operation
from ._past import find_outvoter, read_past
from ._postgres import Connection, SessionError, connect_peer, control_data, in_recovery, one, timeline_of
from ._rejoin_facts import has_wal, past_of_peer
from ._system import systemctl, unit_states
from ._unusable import is_unusable

ASK_S = 1.0
# A node that can't follow is looked at more often at first; one that waits for its primary for long, less often.
EAGER, HURRIED_PASS_S, EVERY = 60, 0.15, 5
_AT_WORK = ("active", "activating", "deactivating", "reloading")
_STREAMS = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"


def look_closer(config: NodeConfig, session: Connection | None, record: Record | None) -> Need | None:
    """What keeps this node from following the other one, asked now; ``session`` is one to the local server."""
    interrupted = record is not None and record.outcome == RUNNING
    if session is None and not interrupted and not is_unusable():
        return None  # stopped by somebody, or about to start
    try:
        with connect_peer(config, timeout=ASK_S) as peer:
            if in_recovery(peer) or GRANT in locks_held(peer):
                return None
            own = observe_own(config, session, interrupted)
            return find_need(own, observe_primary(config, peer, own))
    except (UnreachableError, OSError):  # WAL files come and go while they are looked at
        return None
    except SessionError:
        if session is not None and session.closed:
            raise
        return None


def observe_own(config: NodeConfig, session: Connection | None, interrupted: bool) -> Own:
    server, unusable = config.postgresql, is_unusable()
    if not Path(server.data_directory, "global/pg_control").exists():
        # A directory that is not there may be one that is not mounted; only an exchange leaves the old one beside it.
        exchanged = interrupted and outgoing(server.data_directory).is_dir()
        return Own(config.node, None, unusable=unusable, interrupted=exchanged)
    control = control_data(server)
    replayed = one(session, "SELECT pg_last_wal_replay_lsn()::text") if session else None
    reached = max(replayed or "0/0", control.recovery_lsn, control.checkpoint_lsn, key=parse_lsn)
    timeline = max(control.timeline, control.recovery_timeline)
    heard = find_outvoter(server.data_directory, control, timeline, reached)
    return Own(
        config.node,
        control.system_identifier,
        read_past(server.data_directory, timeline, parse_lsn(reached), control.segment_bytes),
        parse_lsn(reached),
        heard["timeline"] if heard else 0,
        accepting=session is not None,
        unusable=unusable,
        interrupted=interrupted,
    )


def observe_primary(config: NodeConfig, peer: Connection, own: Own) -> Primary:
    system = one(peer, "SELECT system_identifier::text FROM pg_control_system()")
    past = past_of_peer(peer, timeline_of(peer))
    slot = one(peer, "SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", config.slot)
    there = bool(own.past) and has_wal(peer, past, own.reached, control_data(config.postgresql).segment_bytes)
    return Primary(config.peer, system, past, slot, there)


def is_busy() -> bool:
    """Whether anything works on this node: an operation, or the rejoin itself."""
    operation = read_operation()
    if operation and not is_left_over(operation, time.time(), boot_id(), []):
        return True
    return unit_states([REJOIN_UNIT])[REJOIN_UNIT]["active"] in _AT_WORK


def decline(config: NodeConfig, need: Need, record: Record | None) -> None:
    """Leave it to somebody, and say so where it is looked for."""
    say(
        f"This node does not rejoin by itself: {need.refusal} Look at both before you give up what only {config.node} "
        "has; then: backup-ha rejoin"
    )
    now = time.time()
    write_record(ended(begun(record, need, now, this_start()), DECLINED, now, need.refusal))


class Returning:
    """The agent's part of it, on a node that is no primary."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._memory = Memory()
        self._boot = this_start()
        self._without = 0  # passes since it streamed

    @property
    def hurries(self) -> bool:
        return 0 < self._without < EAGER

    def once(self, role: str, session: Connection | None) -> None:
        """One look, and what follows from it; quick, for the rejoin is a unit of its own."""
        streams = session is not None and role == "secondary" and bool(one(session, _STREAMS))
        self._without = 0 if streams or role == "primary" else self._without + 1
        if role == "primary":
            self._memory = Memory()
        elif streams or self.hurries or self._without % EVERY == 0:
            self._look(streams, session)

    def _look(self, streams: bool, session: Connection | None) -> None:
        record = read_record()
        # What is at work changes everything that could be looked at.
        busy = record is not None and is_busy()
        need = None if streams or busy else look_closer(self._config, session, record)
        busy = busy or (need is not None and is_busy())
        allowed, at, now = self._config.agent.auto_rejoin, time.monotonic(), time.time()
        look = Look(at, now, self._boot, allowed, streams, busy, need, record)
        self._memory, action = decide(self._memory, look)
        if action == FORGET:
            forget_record()
        elif action == DECLINE and need:
            decline(self._config, need, record)
        elif action == START and need:
            say(f"This node can't follow {self._config.peer} ({need.mark}), and rejoins by itself.")
            systemctl("start", "--no-block", REJOIN_UNIT)
