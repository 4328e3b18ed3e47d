# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions to the local and the other node's PostgreSQL, and the server process itself. Knows nothing of Ansible."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._bounded import bounded
from ._config import DATABASE, REPLICATION_ROLE, TLS_DIRECTORY, NodeConfig, Postgresql
from ._control import ControlData, parse_control_data
from ._errors import BackupHaError, DeadlineError, UnreachableError, first_line
from ._system import run, signal_and_wait, sync_directory, systemctl, unit_states

try:
    import psycopg
except ImportError:  # a blank server; only what needs a session fails, with a sentence
    psycopg = None  # type: ignore[assignment]

# What a session raises when it breaks or its statement fails.
SessionError: type[Exception] = psycopg.Error if psycopg else Exception

if TYPE_CHECKING:
    Connection = psycopg.Connection[tuple[Any, ...]]
else:
    Connection = Any

SUPERUSER = "postgres"
PID_FILE_LINES = 8
_NOT_YET_ENDED = ("active", "deactivating", "reloading")
# Our own sessions must never hang on synchronous replication, nor on a lock somebody forgot.
SESSION_OPTIONS = "-c synchronous_commit=local -c statement_timeout=10s -c lock_timeout=5s"
# For one that is frozen; longer than its own time-outs, which say more.
ANSWER_S = 15.0
# The other node must notice in seconds, not hours, that a power cut ended a session: its lock ends with it.
PEER_OPTIONS = (
    "-c tcp_keepalives_idle=1 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3 -c tcp_user_timeout=3000"
)


@contextmanager
def as_user(name: str) -> Iterator[None]:
    """Take a user's effective identity for a moment: PostgreSQL's peer authentication looks at it while connecting."""
    user = pwd.getpwnam(name)
    before = os.geteuid(), os.getegid()
    if before[0] == user.pw_uid:
        yield
        return
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])


def require_driver() -> None:
    if psycopg is None:
        raise BackupHaError("python3-psycopg is not installed on this server.")


def connect_local(server: Postgresql, dbname: str = SUPERUSER) -> Connection:
    """A superuser's session through the local socket. Raises UnreachableError when no server listens there."""
    require_driver()
    try:
        with as_user(SUPERUSER):
            return psycopg.connect(
                host="/var/run/postgresql",
                port=server.port,
                user=SUPERUSER,
                dbname=dbname,
                autocommit=True,
                connect_timeout=5,
                options=SESSION_OPTIONS,
                application_name="backup-ha",
            )
    except psycopg.OperationalError as error:
        raise UnreachableError(f"The local PostgreSQL does not answer: {first_line(error)}") from error


def connect_peer(config: NodeConfig, timeout: float = 2.0, dbname: str = "postgres") -> Connection:
    """The replication role's session to the other node, over TLS with both certificates verified.

    libpq rounds its own time-out up to two seconds, so whether anybody listens is asked with a socket first.
    """
    require_driver()
    port = config.postgresql.port
    try:
        socket.create_connection((config.peer_address, port), timeout=timeout).close()
        return psycopg.connect(
            **peer_parameters(config),
            dbname=dbname,
            autocommit=True,
            connect_timeout=2,
            options=f"{SESSION_OPTIONS} {PEER_OPTIONS}",
            application_name="backup-ha",
            keepalives_idle=1,
            keepalives_interval=1,
            keepalives_count=3,
            tcp_user_timeout=3000,
        )
    except (OSError, psycopg.OperationalError) as error:
        where = f"{config.peer} ({config.peer_address}, port {port})"
        raise UnreachableError(f"PostgreSQL on {where} does not answer: {first_line(error)}") from error


def peer_parameters(config: NodeConfig) -> dict[str, Any]:
    """How this node reaches the other one's PostgreSQL; the same words serve psycopg and primary_conninfo."""
    return {
        "host": config.peer_address,
        "port": config.postgresql.port,
        "user": REPLICATION_ROLE,
        "sslmode": "verify-full",
        "sslrootcert": str(TLS_DIRECTORY / "ca.crt"),
        "sslcert": str(TLS_DIRECTORY / "node.crt"),
        "sslkey": str(TLS_DIRECTORY / "node.key"),
    }


def connect_cluster_database(server: Postgresql) -> Connection:
    """A superuser's session to the database that holds the cluster's own tables."""
    return connect_local(server, DATABASE)


def one(connection: Connection, query: str, *parameters: Any) -> Any:
    """The first column of the first row; None when there is no row."""
    with bounded(connection, ANSWER_S):
        row = connection.execute(query, parameters or None).fetchone()
    return row[0] if row else None


def rows(connection: Connection, query: str, *parameters: Any) -> list[dict[str, Any]]:
    """Every row as a dictionary, by column name."""
    with bounded(connection, ANSWER_S):
        cursor = connection.execute(query, parameters or None)
    names = [column.name for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def in_recovery(connection: Connection) -> bool:
    return bool(one(connection, "SELECT pg_is_in_recovery()"))


def postmaster_pid(server: Postgresql) -> int | None:
    """The running server's process, by its own pid file; None when the file is stale or absent.

    After a power cut another process may have got the number, so the process has to be this directory's server.
    """
    try:
        pid = int(Path(server.data_directory, "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if server.data_directory.encode() in command else None


def is_starting(server: Postgresql) -> bool:
    """The running server has not said yet that it lets sessions in: the last line of its pid file (miscadmin.h)."""
    try:
        lines = Path(server.data_directory, "postmaster.pid").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) < PID_FILE_LINES or lines[PID_FILE_LINES - 1].strip() == "starting"


def control_data(server: Postgresql) -> ControlData:
    return parse_control_data(run([f"{server.bin_directory}/pg_controldata", server.data_directory]))


def write_standby_signal(server: Postgresql) -> None:
    """Make every later start of this server a standby's start (a running primary does not read the file)."""
    path = Path(server.data_directory, "standby.signal")
    if path.exists():
        return
    with as_user(SUPERUSER):
        path.touch(mode=0o600)
        sync_directory(path.parent)


def stop_fast(server: Postgresql, timeout: float) -> bool:
    """Ask the server to stop at once but cleanly, and wait for its process. True when it has ended in time.

    The signal goes to the postmaster itself: pg_ctl and systemctl look for the end only every 100 ms.
    """
    pid = postmaster_pid(server)
    return True if pid is None else signal_and_wait(pid, signal.SIGINT, timeout)


def stop_at_once(server: Postgresql, timeout: float) -> bool:
    """End the server without its last checkpoint; the next start replays WAL. True when it has ended in time.

    For one that was asked to stop and does not: that can't be taken back, and a session that hangs would delay it for
    ever. The postmaster kills such sessions five seconds after SIGQUIT.
    """
    pid = postmaster_pid(server)
    return True if pid is None else signal_and_wait(pid, signal.SIGQUIT, timeout)


def start(server: Postgresql, timeout: float = 60.0) -> None:
    """Begin to start the server as what every start is: a standby. See wait_for_session() for its end.

    It lets sessions in about two seconds before Debian's start command returns.

    systemd notices the end of a process later than we do, and a start that it takes for superfluous does nothing.
    """
    deadline = time.monotonic() + timeout
    state = unit_states([server.unit])[server.unit]
    while postmaster_pid(server) is None and state["active"] in _NOT_YET_ENDED:
        if time.monotonic() > deadline:
            raise DeadlineError(f"systemd did not see {server.unit} end within {timeout:.0f} s.")
        time.sleep(0.01)
        state = unit_states([server.unit])[server.unit]
    if state["sub"] == "auto-restart":
        # systemd lets a start wait until RestartSec is over. A stop ends that wait; what depends on it has stopped.
        systemctl("stop", server.unit, timeout=timeout)
    systemctl("start", "--no-block", server.unit, timeout=timeout)


def wait_for_session(server: Postgresql, timeout: float, dbname: str = SUPERUSER) -> Connection:
    """A local session as soon as the server lets one in: a standby does so once it is consistent."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return connect_local(server, dbname)
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def timeline_of(connection: Connection) -> int:
    """The timeline that a writer is on."""
    return int(one(connection, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"), 16)


def ensure_slot(connection: Connection, name: str) -> bool:
    """Create a physical slot that keeps WAL from now on. True when it was missing."""
    if one(connection, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", name):
        return False
    connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", (name,))
    return True


def drop_slot(connection: Connection, name: str) -> bool:
    """Drop a slot that nobody uses: on a standby it would keep WAL for ever. True when one was dropped."""
    dropped = rows(
        connection,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active",
        name,
    )
    return bool(dropped)


def await_replay_of(connection: Connection, lsn: str, timeout: float) -> None:
    """Wait until this standby has replayed up to a position; a writer has by definition."""
    deadline = time.monotonic() + timeout
    while not one(connection, "SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn):
        if time.monotonic() > deadline:
            raise DeadlineError(f"The standby did not replay up to {lsn} within {timeout:.0f} s.")
        time.sleep(0.02)
