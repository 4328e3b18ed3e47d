# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt of a node to rejoin by itself: the unit's part, which does what the command does and keeps account."""

from __future__ import annotations

import os
import time

from ._auto_rejoin import decline, look_closer
from ._auto_rejoin_decision import DONE, FAILED, SILENT, Need, Record, begun, ended, is_due, pause_after
from ._auto_rejoin_record import read_record, this_start, write_record
from ._config import DATABASE, NodeConfig
from ._database import add_to_history
from ._errors import BackupHaError, BusyError, RefusedError, UnreachableError, problem_of
from ._events import say, told
from ._operation import begin, by_itself, end, identity_of_process, kept_alive
from ._postgres import SessionError, connect_local, connect_peer, in_recovery, timeline_of
from ._rejoin import rejoin
from ._rejoin_outcome import Outcome, report

TIMEOUT_S = 120.0
BY_HAND = "By hand, on this node: backup-ha rejoin"


def attempt(config: NodeConfig) -> int:
    """Look once more, and rejoin. Returns the exit code of the unit."""
    record, now = read_record(), time.time()
    need = _look(config, record)
    if need is None:
        say(f"Nothing keeps this node from following {config.peer}, or {config.peer} is no primary that answers.")
        return 0
    if need.refusal:
        decline(config, need, record)
        return 0
    if not is_due(record, need, now, this_start()):
        say("The next attempt is not due yet; backup-ha rejoin does not wait.")
        return 0
    return _as_operation(config, begun(record, need, now, this_start()))


def _look(config: NodeConfig, record: Record | None) -> Need | None:
    try:
        with connect_local(config.postgresql) as session:
            return look_closer(config, session, record)
    except (UnreachableError, SessionError):
        return look_closer(config, None, record)


def _as_operation(config: NodeConfig, record: Record) -> int:
    """Under a record of the operation, as every other way; what is found under way is not disturbed."""
    identity = f"{config.cluster}-rejoin-{record.at:.3f}"
    try:
        begin(identity, "rejoin", by_itself(config.node), identity_of_process(os.getpid()), [])
        try:
            write_record(record)
            return _carry_out(config, record, identity)
        finally:
            end(identity)
    except BusyError as error:
        write_record(ended(record, SILENT, time.time(), problem_of(error)))
        say(" ".join([str(error), *error.reasons]))
        return 0


def _carry_out(config: NodeConfig, record: Record, identity: str) -> int:
    timeline = _timeline_of_primary(config)
    try:
        with kept_alive(), told(config, "rejoin", by_itself(config.node), identity=identity):
            outcome = rejoin(config, TIMEOUT_S, record=identity)
    except BusyError:
        raise
    except (BackupHaError, SessionError, OSError) as error:
        problem = " ".join([problem_of(error), *(error.reasons if isinstance(error, RefusedError) else [])])
        # A primary that went away in the middle, or was promoted anew meanwhile, is no failure of this node.
        now_on = _timeline_of_primary(config)
        counts = now_on is not None and now_on == timeline
        failed = ended(record, FAILED if counts else SILENT, time.time(), problem)
        write_record(failed)
        say(_notice(failed))
        return 1
    write_record(ended(record, DONE, time.time()))
    for line in report(config, outcome, check=False):
        say(line)
    if outcome.changed:
        _tell_history(config, record, identity, outcome)
    return 0


def _notice(record: Record) -> str:
    """What the journal says of an attempt that failed."""
    pause = pause_after(record, record.boot)
    if record.outcome == SILENT:
        return f"The primary went away meanwhile ({record.problem}). This goes on when it is back."
    more = "It is tried no more." if pause is None else f"The next attempt is in {pause / 60:.0f} min."
    return f"This node could not rejoin by itself, in {record.attempts} attempts: {record.problem} {more} {BY_HAND}"


def _timeline_of_primary(config: NodeConfig) -> int | None:
    """None when no primary answers."""
    try:
        with connect_peer(config) as peer:
            return None if in_recovery(peer) else timeline_of(peer)
    except (UnreachableError, SessionError):
        return None


def _tell_history(config: NodeConfig, record: Record, identity: str, outcome: Outcome) -> None:
    """On the primary, where its rows are written. A comfort, and no reason to fail."""
    entry = {
        "operation": identity,
        "kind": "rejoin",
        "from_node": config.node,
        "to_node": config.peer,
        "timeline": None,
        "started": record.at,
        "outcome": "done",
        "who": by_itself(config.node),
        "why": ", ".join(outcome.steps),
    }
    try:
        with connect_peer(config, dbname=DATABASE) as peer:
            add_to_history(peer, entry)
    except (UnreachableError, SessionError) as error:
        say(f"The history could not be written: {problem_of(error)}")
