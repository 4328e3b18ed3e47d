# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows a promotion on the promoted node, and what precedes a start: the two ends of being primary."""

from __future__ import annotations

import time
from typing import Any

from . import _endpoint
from ._bounded import bounded
from ._config import PRIMARY_TARGET, NodeConfig
from ._control import ControlData
from ._errors import BackupHaError, DeadlineError
from ._file_sync import adopt
from ._lsn import parse_lsn
from ._past import put_back_histories
from ._postgres import (
    Connection,
    connect_local,
    control_data,
    drop_slot,
    ensure_slot,
    in_recovery,
    one,
    stop_fast,
    timeline_of,
    wait_for_session,
    write_standby_signal,
)
from ._postgres import start as start_server
from ._primary_memory import forget_having_been_primary, remember_being_primary, was_primary
from ._system import systemctl

# A shutdown checkpoint has 114 bytes, and may cross into the next page or segment, which begins with a header.
LAST_RECORD_BYTES = 256
# A secondary that answers is told apart from one that stands still.
GRACE_S = 0.5


def request_promotion(connection: Connection) -> None:
    """Ask a standby to promote, without waiting: pg_promote's own wait looks only every 100 ms."""
    one(connection, "SELECT pg_promote(false)")


def wait_until_writer(connection: Connection) -> None:
    """Without a bound while it answers: a requested promotion can't be called off; the locks must be held till then.

    One that does not answer any more ends the session, and so this wait.
    """
    while in_recovery(connection):
        time.sleep(0.002)


def take_endpoint(config: NodeConfig) -> None:
    """Take the address now. Needs the caller's proof that the local server is the writer."""
    _endpoint.add(config.endpoint)
    _endpoint.announce_repeatedly(config.endpoint, pauses=(0.0,))


def serve(config: NodeConfig, connection: Connection) -> None:
    """All that a node does after it became the writer; every step may be repeated."""
    write_standby_signal(config.postgresql)
    take_endpoint(config)
    remember_being_primary(config, timeline_of(connection))
    ensure_slot(connection, config.peer_slot)
    adopt(config)
    systemctl("start", PRIMARY_TARGET, *config.workload.units)
    # Until the first checkpoint on the new timeline the control file names the old one, and a rewind can't begin.
    connection.execute("SET statement_timeout = 0")
    connection.execute("CHECKPOINT")


def promote_here(config: NodeConfig, connection: Connection) -> None:
    """Promote the local server and start serving. The caller holds the grant."""
    if in_recovery(connection):
        put_back_histories(config.postgresql.data_directory, control_data(config.postgresql))
        if was_primary():
            # Whatever ends this between the promotion and what follows, it may ask again on the new timeline.
            remember_being_primary(config)
        request_promotion(connection)
        wait_until_writer(connection)
    serve(config, connection)


def await_replay(connection: Connection, control: ControlData, timeout: float) -> str:
    """Wait until a standby has replayed the shutdown checkpoint of the other node. Returns its replay position.

    That is the last record there is. Who has replayed more has it from another history, and lacks this node's.
    """
    deadline = time.monotonic() + timeout
    wanted = parse_lsn(control.checkpoint_lsn)
    with bounded(connection, timeout + GRACE_S):
        while True:
            replayed: str | None = one(connection, "SELECT pg_last_wal_replay_lsn()::text")
            beyond = parse_lsn(replayed) - wanted if replayed else 0
            if beyond > LAST_RECORD_BYTES:
                raise BackupHaError(
                    f"The secondary has replayed up to {replayed}, and the primary's shutdown checkpoint, the end of "
                    f"its WAL, is at {control.checkpoint_lsn}: the secondary has WAL of its own. Rejoin it: "
                    "ansible-playbook duet.backup_ha.rejoin."
                )
            if replayed and beyond > 0:
                return replayed
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"The secondary replayed up to {replayed}; the primary's shutdown checkpoint is at "
                    f"{control.checkpoint_lsn}, and it did not arrive within {timeout:.0f} s."
                )
            time.sleep(0.002)


def demotion_plan(observed: dict[str, Any]) -> list[str]:
    """The steps that make a node a standby; none when it is one. Pure."""
    services = observed["services"]
    steps = []
    if services.get(PRIMARY_TARGET, {}).get("active") not in (None, "inactive", "not-found"):
        steps.append("stop_primary_target")
    if observed["role"] == "primary":
        steps.append("stop_postgresql")
    if observed["role"] in ("primary", "stopped"):
        steps.append("start_standby")
    return steps


def demote_here(config: NodeConfig, steps: list[str], timeout: float) -> None:
    """Carry out a demotion plan."""
    server = config.postgresql
    if "stop_primary_target" in steps:
        systemctl("stop", *config.workload.units, PRIMARY_TARGET)
    if "start_standby" in steps:
        forget_having_been_primary()
    if "stop_postgresql" in steps and not stop_fast(server, timeout):
        raise DeadlineError(f"PostgreSQL did not stop within {timeout:.0f} s; it still shuts down.")
    if "start_standby" in steps:
        write_standby_signal(server)
        start_server(server)
        with wait_for_session(server, timeout) as connection:
            if not in_recovery(connection):
                raise BackupHaError("PostgreSQL came up as a writer although standby.signal exists.")
            drop_slot(connection, config.peer_slot)


def endpoint_take_unit(config: NodeConfig) -> None:
    """ExecStart of the endpoint's unit: only the writer gets the address, and only when nobody else has it."""
    with connect_local(config.postgresql) as connection:
        if in_recovery(connection):
            raise BackupHaError("This node's PostgreSQL does not accept writes; the endpoint stays away.")
    if not _endpoint.holds(config.endpoint):
        holder = _endpoint.probe(config.endpoint)
        if holder:
            raise BackupHaError(f"{config.endpoint.address} is already answered by {holder}.")
    _endpoint.add(config.endpoint)
    _endpoint.announce_repeatedly(config.endpoint)


def endpoint_linger(config: NodeConfig, limit: float = 0.3) -> None:
    """ExecStop of the endpoint's unit: refuse connections for a moment instead of leaving them unanswered.

    A connection attempt that nobody answers is repeated by the client's kernel only after a second; one that is
    refused is repeated at once. In a handover the address is removed as soon as the new primary has taken it.
    """
    until = time.monotonic() + limit
    while time.monotonic() < until and _endpoint.holds(config.endpoint):
        time.sleep(0.02)
