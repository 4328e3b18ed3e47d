# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving node's half of a handover: it waits for its promotion and serves at once; it never promotes itself."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from . import _endpoint
from ._config import RESUME_UNIT, NodeConfig
from ._database import record_history
from ._errors import BackupHaError, InDoubtError, RefusedError, UnreachableError, problem_of
from ._grant import ARMED, GRANT, TAKEN, locks_held, try_lock
from ._handover import ARM_TIMEOUT_S
from ._operation import read_operation
from ._postgres import Connection, SessionError, connect_local, connect_peer, in_recovery, timeline_of
from ._primary_memory import forget_having_been_primary, remember_being_primary
from ._progress import Progress
from ._promotion import serve
from ._system import systemctl


def take(config: NodeConfig) -> Progress:
    """Wait for the promotion of this node and serve at once.

    Raises RefusedError when no promotion began, BackupHaError when the other node took the role back.
    """
    progress = Progress()
    endpoint = _endpoint.PreparedEndpoint(config.endpoint)
    with closing(endpoint), connect_local(config.postgresql) as connection:
        _arm(connection)
        if in_recovery(connection):
            progress.begin("await_promotion")
            try:
                _await_promotion(config, connection)
            except RefusedError:
                raise
            except SessionError as error:
                _see_who_serves(config)
                raise BackupHaError(f"PostgreSQL on {config.node} does not answer any more.") from error
            except BackupHaError:
                _see_who_serves(config)
                raise
            progress.done("promoted")
        endpoint.take()
        try_lock(connection, TAKEN)
        progress.done("endpoint")
        progress.begin("serve", regardless=True)
        endpoint.announce()  # once more, now that the other node is about to let go
        serve(config, connection)
        progress.done("target")
        _await_release(connection)
        record = read_operation()
        if record:
            progress.begin("record", regardless=True)
            _record(config, connection, record)
    return progress


def _record(config: NodeConfig, connection: Connection, record: dict[str, Any]) -> None:
    """Add the exchange to the cluster's history, unless this timeline has its line: this may be a second run."""
    try:
        record_history(
            config.postgresql,
            {
                "operation": record["id"],
                "kind": record["kind"],
                "from_node": config.peer,
                "to_node": config.node,
                "timeline": timeline_of(connection),
                "started": record["started"],
                "outcome": "done",
                "who": record["by"],
            },
            once=True,
        )
    except (BackupHaError, SessionError) as error:
        raise InDoubtError(
            f"{config.node} accepts writes and has the endpoint, but the history could not be written: "
            f"{problem_of(error)}"
        ) from error


def _arm(connection: Connection) -> None:
    """Say that this node is ready. A task whose control node is gone may still wait here, and end well or soon."""
    deadline = time.monotonic() + ARM_TIMEOUT_S
    while in_recovery(connection) and not try_lock(connection, ARMED):
        if time.monotonic() > deadline:
            raise RefusedError("Nothing was changed.", ["Another handover already waits on this node."])
        time.sleep(0.05)


def _await_promotion(config: NodeConfig, connection: Connection) -> None:
    """Wait for as long as the giving node holds the grant; its session ends when it does."""
    began = time.monotonic()
    granted = False
    while in_recovery(connection):
        now_granted = GRANT in locks_held(connection)
        if granted and not now_granted and in_recovery(connection):
            raise BackupHaError(f"{config.peer} did not hand over after all; it serves again or says why not.")
        if now_granted and not granted:
            # Before anything stops: whichever node survives what may happen now, one of them asks to go on.
            remember_being_primary(config)
        granted = granted or now_granted
        if not granted and time.monotonic() - began > ARM_TIMEOUT_S:
            raise RefusedError("Nothing was changed.", [f"{config.peer} never began to hand over."])
        time.sleep(0.002)


def _see_who_serves(config: NodeConfig, patience: float = 15.0) -> None:
    """The giving node has taken the role back; or it has died in between, and this node asks to go on when it can."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            with connect_peer(config) as peer:
                if not in_recovery(peer):
                    forget_having_been_primary()
                    return
        except (UnreachableError, SessionError):
            pass
        time.sleep(0.5)
    systemctl("start", "--no-block", RESUME_UNIT)


def _await_release(connection: Connection, limit: float = 2.0) -> None:
    """Keep our locks until the giving node has read them."""
    deadline = time.monotonic() + limit
    while GRANT in locks_held(connection) and time.monotonic() < deadline:
        time.sleep(0.01)
