# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's agent: looks once a second, decides (_agent_decision.py) and acts. Without it nothing is less safe.

It adds what nobody else is there to do: to let commits wait for the secondary or not, and to end a primary that was
outvoted while it slept, or that nobody reaches.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from . import _endpoint
from ._agent_decision import OURS, Action, Memory, Peer, Seen, decide
from ._auto_rejoin import HURRIED_PASS_S, Returning
from ._config import CONFIG_PATH, NodeConfig
from ._down_word import DownWord
from ._errors import BackupHaError, UnreachableError, problem_of
from ._events import emit, say
from ._file_watch import FileWatch
from ._given_up import end_given_up
from ._heard import note_heard
from ._notices import Notices
from ._port import ask_port
from ._postgres import (
    Connection,
    SessionError,
    connect_cluster_database,
    connect_local,
    connect_peer,
    in_recovery,
    one,
    rows,
    start,
    stop_at_once,
    stop_fast,
    timeline_of,
    write_standby_signal,
)
from ._primary_memory import forget_having_been_primary
from ._protection import LAST_WORD, change_setting, give_word, kind_of_setting
from ._system import notify
from ._witness import answers, gateways

PASS_S = 1.0
NEXT_STEP_S = 0.2
STOP_S = 5.0
LIBRARY = Path(__file__).parent

_LOOK = f"""
SELECT r.recovering, current_setting('synchronous_standby_names') AS setting,
       CASE WHEN NOT r.recovering THEN pg_current_wal_flush_lsn()::text END AS written,
       CASE WHEN NOT r.recovering
            THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
       (SELECT extract(epoch FROM last_msg_receipt_time)::float FROM pg_stat_wal_receiver
         WHERE status = 'streaming') AS heard,
       s.state, s.flush_lsn::text AS flushed, w.node, w.timeline AS word_timeline, w.protected
  FROM (SELECT pg_is_in_recovery() AS recovering) AS r
  LEFT JOIN pg_stat_replication AS s ON s.application_name = %s
  LEFT JOIN ({LAST_WORD}) AS w ON true
 ORDER BY s.state = 'streaming' DESC NULLS LAST LIMIT 1"""


class Agent:
    """The sessions and the memory between two looks."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._memory = Memory()
        self._session: Connection | None = None
        self._checkpoint: Connection | None = None
        self._counts_from: str | None = None
        self._timeline: int | None = None
        self._gateways = gateways(config.address)
        self._returning = Returning(config)
        self._files = FileWatch(config)
        self._said = ""
        self._stopping = ""
        self._notices = Notices(config)
        self._down = DownWord(config)

    def once(self) -> float:
        """One look and what follows from it; returns in how many seconds the next one is due.

        What can't be done now is tried again a second later, and what is begun goes on sooner.
        """
        try:
            seen = self._look()
            self._memory, action = decide(self._config.agent, self._memory, seen)
            if action:
                self._do(action)
            self._returning.once(seen.role, self._session)
            self._files.look(self._session, seen.role)
            self._notices.after(seen, self._session)
            self._said = ""
            return NEXT_STEP_S if action or self._checkpoint else PASS_S
        except (BackupHaError, SessionError, OSError) as error:
            self._forget_sessions()
            self._say_once(problem_of(error) if not isinstance(error, OSError) else str(error))
            return PASS_S

    @property
    def pause(self) -> float:
        """Seconds from one look to the next."""
        return HURRIED_PASS_S if self._returning.hurries else PASS_S

    def _look(self) -> Seen:
        at = time.monotonic()
        try:
            if self._session is None or self._session.closed:
                self._session = connect_cluster_database(self._config.postgresql)
            found = rows(self._session, _LOOK, self._config.peer)[0]
        except UnreachableError:
            self._forget_sessions()
            self._stopping = ""
            self._down.give()
            return Seen(at, "none")
        self._down.take_back()
        setting = kind_of_setting(self._config, found["setting"])
        if found["recovering"]:
            self._stopping = ""
            if found["heard"]:
                note_heard(found["heard"])
            return Seen(at, "secondary", setting=setting)
        streams = found["state"] == "streaming"
        self._await_checkpoint(found["timeline"])
        peer = None if streams else ask_peer(self._config)
        if setting == OURS and not streams:
            end_given_up(self._session, self._config.postgresql.port)
        return Seen(
            at,
            "primary",
            timeline=found["timeline"],
            setting=setting,
            counts_from=self._counts_from,
            begun=self._checkpoint is not None,
            declared=(found["node"], found["word_timeline"], found["protected"])
            == (self._config.node, found["timeline"], True),
            word=bool(found["protected"]),
            streams=streams,
            written=found["written"],
            flushed=found["flushed"],
            peer=peer,
            witness=self._ask_witnesses() if peer and not peer.answers else None,
        )

    def _ask_witnesses(self) -> bool | None:
        """Whether anybody answers who is there in any case; None when nobody is known.

        An interface that goes down takes the route to the gateway with it, so gateways are remembered.
        """
        self._gateways = gateways(self._config.address) or self._gateways
        witnesses = self._config.agent.isolation_addresses or self._gateways
        return any(answers(address, self._config.endpoint) for address in witnesses) if witnesses else None

    def _do(self, action: Action) -> None:
        if action.name == "enforce":
            self._enforce()
        elif action.name == "declare":
            give_word(self._own(), self._config.node, True, f"everything up to {self._counts_from} has arrived")
            message = f"Commits are protected: they wait for {self._config.peer}, which has everything."
            emit("protection_restored", message, self._config, secondary=self._config.peer)
        elif action.name == "release":
            self._release(action.why)
        else:
            try:
                stop_serving(self._config, for_good=action.name == "follow")
            finally:  # not before: an event is written to the disk, and that may be what hangs
                if self._stopping != action.name:
                    emit("stopped_serving", f"This node stops serving: {action.why}.", self._config, why=action.why)
                self._stopping = action.name

    def _enforce(self) -> None:
        """Let commits wait, and begin the checkpoint that tells since when all of them do.

        Whether a commit waits is decided by a flag that the checkpointer sets when it reads its configuration anew
        (PostgreSQL 15, syncrep.c, SyncRepUpdateSyncStandbysDefined). It may be in the middle of a checkpoint; the next
        one begins after that. A session that has the new value was begun after the server had told everybody.
        """
        change_setting(self._config, self._own(), on=True)
        if one(self._own(), "SELECT pg_is_in_recovery()"):
            return
        session = connect_local(self._config.postgresql)
        if kind_of_setting(self._config, one(session, "SHOW synchronous_standby_names")) != "ours":
            session.close()
            return
        session.execute("SET statement_timeout = 0")
        session.pgconn.send_query(b"CHECKPOINT")
        self._checkpoint = session

    def _await_checkpoint(self, timeline: int) -> None:
        """Without waiting: whether the checkpoint has ended meanwhile."""
        if timeline != self._timeline:
            self._timeline, self._counts_from = timeline, None
            self._drop_checkpoint()
        if self._checkpoint is None:
            return
        self._checkpoint.pgconn.consume_input()
        if not self._checkpoint.pgconn.is_busy():
            result = self._checkpoint.pgconn.get_result()
            self._drop_checkpoint()
            if result is not None and result.error_message == b"":
                self._counts_from = one(self._own(), "SELECT pg_current_wal_flush_lsn()::text")

    def _release(self, why: str) -> None:
        """The word first, so that no commit that does not wait comes before it."""
        self._counts_from = None
        self._drop_checkpoint()
        if not one(self._own(), "SELECT pg_is_in_recovery()"):
            give_word(self._own(), self._config.node, False, why)
            message = f"Commits do not wait for {self._config.peer} any more: {why}."
            emit("protection_degraded", message, self._config, secondary=self._config.peer, why=why)
        change_setting(self._config, self._own(), on=False)

    def _own(self) -> Connection:
        if self._session is None:
            raise UnreachableError("The local PostgreSQL does not answer.")
        return self._session

    def _drop_checkpoint(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.close()
            self._checkpoint = None

    def _forget_sessions(self) -> None:
        self._drop_checkpoint()
        if self._session is not None:
            self._session.close()
            self._session = None

    def _say_once(self, problem: str) -> None:
        if problem != self._said:
            say(problem)
            self._said = problem


def ask_peer(config: NodeConfig) -> Peer:
    """Whether the other node's machine answers, and on which timeline its server writes, if it has this one's data."""
    if ask_port(config.peer_address, config.postgresql.port) == "silent":
        return Peer(answers=False)
    try:
        with connect_peer(config) as peer, connect_local(config.postgresql) as local:
            identifier = "SELECT system_identifier::text FROM pg_control_system()"
            writes = not in_recovery(peer) and one(peer, identifier) == one(local, identifier)
            return Peer(True, timeline_of(peer) if writes else None)
    except (UnreachableError, SessionError):
        return Peer(answers=True)


def stop_serving(config: NodeConfig, for_good: bool) -> None:
    """The address first, then the server, whose end ends everything that belongs to a primary.

    ``for_good``: another node is primary now, and this one does not ask to go on when it starts again.
    """
    _endpoint.delete(config.endpoint)
    if for_good:
        forget_having_been_primary()
    write_standby_signal(config.postgresql)
    if not stop_fast(config.postgresql, STOP_S) and not stop_at_once(config.postgresql, STOP_S):
        raise BackupHaError("PostgreSQL does not end.")
    start(config.postgresql)


def fingerprint() -> tuple[int, ...]:
    """Changes when the library or this node's description is replaced."""
    return tuple(path.stat().st_mtime_ns for path in (LIBRARY, CONFIG_PATH))


def work(config: NodeConfig) -> None:
    """For ever, or until there is a new library or description: systemd starts the agent again with that."""
    agent, begun_with = Agent(config), fingerprint()
    while fingerprint() == begun_with:
        began = time.monotonic()
        due = agent.once()
        notify("READY=1\nWATCHDOG=1")
        time.sleep(max(0.05, min(due, agent.pause) - (time.monotonic() - began)))
    say(f"The agent ({os.getpid()}) ends, because it was replaced.")
