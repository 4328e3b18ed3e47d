# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stop of this node's primary would have to wait for, measured without changing any data."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from ._config import NodeConfig
from ._errors import BackupHaError, DeadlineError
from ._forecast import seconds_per_file
from ._postgres import Connection, SessionError, connect_local
from ._system import run

QUERY_CANCELED = "57014"


def measure_stop(config: NodeConfig, writer: bool, patience: float) -> dict[str, Any]:
    """How long two checkpoints took (``flush_s`` both, ``checkpoint_s`` the last), how long archiving one file takes,
    and the workload's last stop on this node. None for what can't be told, or not within ``patience`` seconds.

    A checkpoint writes earlier what has to be written anyway. The second one shows what is left for the one inside a
    stop that follows at once.
    """
    measured: dict[str, Any] = {
        "flush_s": None,
        "checkpoint_s": None,
        "archive_file_s": None,
        "workload_s": last_stop_s(config.workload.units),
    }
    if not writer:
        return measured
    measured["archive_file_s"] = archive_file_s(config.postgresql.data_directory)
    began = time.monotonic()
    try:
        with closing(connect_local(config.postgresql)) as connection:
            checkpoint(connection, patience)
            measured["checkpoint_s"] = round(checkpoint(connection, patience - (time.monotonic() - began)), 3)
    except (BackupHaError, SessionError):
        pass  # a server that lets nobody in is refused for that
    measured["flush_s"] = round(time.monotonic() - began, 3)
    return measured


def checkpoint(connection: Connection, allowed: float) -> float:
    """Write everything that is dirty. Returns the seconds that took; DeadlineError when it has not ended in time.

    It goes on then, and the next one begins where it is.
    """
    began = time.monotonic()
    if allowed <= 0:
        raise DeadlineError("No time was left for a checkpoint.")
    connection.execute(f"SET statement_timeout = {max(1, int(allowed * 1000))}")
    try:
        connection.execute("CHECKPOINT")
    except SessionError as error:
        if getattr(error, "sqlstate", None) != QUERY_CANCELED:
            raise
        raise DeadlineError(f"A checkpoint did not end within {allowed:.1f} s.") from error
    finally:
        if not connection.closed:
            connection.execute("SET statement_timeout = '10s'")
    return time.monotonic() - began


def archive_file_s(data_directory: str) -> float | None:
    """See seconds_per_file(). PostgreSQL makes a file when WAL is ready to be archived and renames it when it was."""
    done: list[tuple[float, float]] = []
    ready: list[float] = []
    with os.scandir(Path(data_directory, "pg_wal/archive_status")) as entries:
        for entry in entries:
            try:
                status = entry.stat()
            except FileNotFoundError:  # comes and goes
                continue
            if entry.name.endswith(".done"):
                done.append((status.st_mtime, status.st_ctime))
            elif entry.name.endswith(".ready"):
                ready.append(status.st_mtime)
    found = seconds_per_file(done, ready, time.time())
    return None if found is None else round(found, 3)


def last_stop_s(units: tuple[str, ...]) -> float | None:
    """How long the last stop of these units took; None when none of them has stopped since this machine booted."""
    if not units:
        return None
    wanted = "--property=ActiveExitTimestampMonotonic,InactiveEnterTimestampMonotonic"
    return stop_duration(run(["systemctl", "show", wanted, *units]))


def stop_duration(shown: str) -> float | None:
    """The longest stop in what systemctl printed, in seconds. Pure. They are stopped at once.

    >>> stop_duration("InactiveEnterTimestampMonotonic=2500000\\nActiveExitTimestampMonotonic=2000000\\n")
    0.5
    """
    stops = []
    for block in shown.strip().split("\n\n"):
        fields = {key: int(value or 0) for key, value in (line.split("=", 1) for line in block.splitlines())}
        began, ended = fields.get("ActiveExitTimestampMonotonic", 0), fields.get("InactiveEnterTimestampMonotonic", 0)
        if 0 < began <= ended:
            stops.append((ended - began) / 1e6)
    return max(stops, default=None)
