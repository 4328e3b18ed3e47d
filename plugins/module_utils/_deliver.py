# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring events from this node's disk to the cluster's database and to the hook. A process of its own: it may wait.

The primary's database is written to, wherever that is: from a secondary through the session of the replication role,
which may add events and read none. While there is no primary, events wait; the hook has them meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _spool
from ._bounded import bounded
from ._config import DATABASE, NodeConfig
from ._errors import BackupHaError, UnreachableError, problem_of
from ._events import document, say
from ._postgres import ANSWER_S, Connection, SessionError, connect_cluster_database, connect_peer, in_recovery

PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# While it is there, the hook has failed and that has been said.
FAILED_PATH = Path("/run/backup-ha/hook-failed")

_INSERT = """
INSERT INTO backup_ha.event (id, at, kind, severity, node, message, details)
SELECT id, to_timestamp(at), kind, severity, node, message, details
  FROM json_to_record(%s::json)
    AS e(id uuid, at float, kind text, severity text, node text, message text, details jsonb)
    ON CONFLICT DO NOTHING"""


@dataclass
class Pace:
    """When the database is asked again: soon, then less and less often."""

    next_at: float = 0.0
    pause_s: float = PAUSE_S

    def failed(self, now: float) -> None:
        self.next_at, self.pause_s = now + self.pause_s, min(2 * self.pause_s, LONGEST_PAUSE_S)

    def worked(self) -> None:
        self.next_at, self.pause_s = 0.0, PAUSE_S


def deliver(config: NodeConfig, sleep: Callable[[float], None] = time.sleep) -> None:
    """Until nothing waits any more; systemd starts it again with the next event."""
    pace, said = Pace(), ""
    while not _spool.is_empty():
        _spool.clear_leftovers()
        if _spool.waiting(_spool.STORED) and time.monotonic() >= pace.next_at:
            problem = _store(config)
            if problem:
                pace.failed(time.monotonic())
            else:
                pace.worked()
            if problem and problem != said:
                say(f"Events wait for the database: {problem}")
            said = problem
        if not _tell_next(config):
            sleep(PAUSE_S)


def _ways(config: NodeConfig) -> frozenset[str]:
    return frozenset((_spool.STORED, _spool.TOLD) if config.events.hook else (_spool.STORED,))


def _store(config: NodeConfig) -> str:
    """Write what waits into the primary's database. Returns why not; empty when it is done."""
    try:
        with _connect_primary(config) as connection:
            for path in _spool.waiting(_spool.STORED):
                event = _spool.read(path)
                if event:
                    _insert(connection, event)
                    _spool.mark(path, _spool.STORED, _ways(config))
    except (BackupHaError, SessionError, OSError) as error:
        return problem_of(error)
    return ""


def _connect_primary(config: NodeConfig) -> Connection:
    """A session to whichever node accepts writes."""
    with suppress(UnreachableError):
        local = connect_cluster_database(config.postgresql)
        if not in_recovery(local):
            return local
        local.close()
    peer = connect_peer(config, dbname=DATABASE)
    if not in_recovery(peer):
        return peer
    peer.close()
    raise UnreachableError("No node accepts writes.")


def _insert(connection: Connection, event: dict[str, Any]) -> None:
    with bounded(connection, ANSWER_S):
        connection.execute(_INSERT, (json.dumps(event),))


def _tell_next(config: NodeConfig) -> bool:
    """Let the hook have the oldest event that it has not had. Once, whether it works or not: an event is late soon."""
    if not config.events.hook:
        return False
    for path in _spool.waiting(_spool.TOLD):
        event = _spool.read(path)
        if event:
            _say_once(call_hook(config, document(event)))
            _spool.mark(path, _spool.TOLD, _ways(config))
            return True
    return False


def _say_once(problem: str) -> None:
    if problem and not FAILED_PATH.exists():
        say(f"The event hook has failed: {problem}. Until it works again no other failure of it is said.")
        FAILED_PATH.parent.mkdir(parents=True, exist_ok=True)
        FAILED_PATH.touch()
    elif not problem:
        FAILED_PATH.unlink(missing_ok=True)


def call_hook(config: NodeConfig, told: dict[str, Any]) -> str:
    """Run the hook with an event on its standard input. Returns why it failed; empty when it did not."""
    words, seconds = list(config.events.hook), config.events.hook_timeout
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    try:
        _out, errors = process.communicate(json.dumps(told) + "\n", timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"{words[0]} did not end within {seconds:g} s"
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    finally:
        _end_group(process)
    lines = errors.strip().splitlines()
    return f"{words[0]} ended with {process.returncode}: {lines[-1] if lines else ''}" if process.returncode else ""


def _end_group(process: subprocess.Popen[str]) -> None:
    """End what it has left running, too."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
