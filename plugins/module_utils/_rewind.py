# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_rewind, and what it takes to start what it leaves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from ._clone import report_progress
from ._config import NodeConfig
from ._errors import UnreachableError
from ._lsn import parse_lsn
from ._postgres import SUPERUSER, control_data, peer_parameters
from ._system import sync_directory
from ._timeline import segment_number

NOTHING_TO_DO = "no rewind required"
# Both in pg_rewind of 13 to 17: libpq_source.c and pg_rewind.c connect before the target is opened for writing.
NEVER_CONNECTED = "error: connection to server"
CONNECTED = "connected to server"


def rewind(config: NodeConfig, segment_bytes: int, lock: int) -> str:
    """Undo what only this node has. Returns why it can't be done this way, or nothing when it is done.

    The server must be stopped. ``lock`` is passed on, so that it is held for as long as pg_rewind works, even when
    whoever began it was killed. Raises UnreachableError when the primary was gone before anything was changed.
    """
    directory = Path(config.postgresql.data_directory)
    own_settings = directory / "postgresql.auto.conf"
    settings = own_settings.read_bytes() if own_settings.exists() else b""
    why = _run(config, lock)
    if not why:
        path = directory / "backup_label"
        label = path.read_text(encoding="utf-8") if path.exists() else ""
        why = lacking_wal(label, control_data(config.postgresql).recovery_lsn, directory / "pg_wal", segment_bytes)
    if not why:
        # What somebody set with ALTER SYSTEM on the primary is about that server.
        _write_as_owner(own_settings, settings)
    return why


def lacking_wal(label: str, end: str, wal: Path, segment_bytes: int) -> str:
    """Why recovery could not get from the label's begin to where pg_rewind left the data; nothing when it can.

    It begins at a checkpoint before the fork, and a new primary keeps little from before its promotion. pg_rewind 15.20
    leaves this node's own WAL from there on in place; older ones removed it.
    """
    begin = re.search(r"^START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+)", label, re.MULTILINE)
    if not begin:
        return "pg_rewind left no backup label"
    wanted = range(parse_lsn(begin.group(1)) // segment_bytes, (parse_lsn(end) - 1) // segment_bytes + 1)
    there = {segment_number(segment.name, segment_bytes) for segment in wal.iterdir()}
    missing = len([number for number in wanted if number not in there])
    return f"{missing} WAL segments from before the fork are neither here nor on the primary" if missing else ""


def _run(config: NodeConfig, lock: int) -> str:
    server = config.postgresql
    source = " ".join(f"{key}={value}" for key, value in peer_parameters(config).items())
    argv = ["runuser", "-u", SUPERUSER, "--", f"{server.bin_directory}/pg_rewind"]
    argv += ["--target-pgdata", server.data_directory, "--source-server", f"{source} dbname=postgres"]
    argv += ["--config-file", f"{server.config_directory}/postgresql.conf", "--no-ensure-shutdown", "--progress"]
    environment = {**os.environ, "LC_ALL": "C"}
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment, pass_fds=(lock,)) as process:
        said = [line.strip() for line in process.stderr or () if not report_progress(line, time.time())]
    if process.returncode and NEVER_CONNECTED in " ".join(said) and not any(CONNECTED in line for line in said):
        raise UnreachableError(
            f"{config.peer} went away before the rewind began, so nothing was changed. Run this again when it is back."
        )
    if process.returncode:
        return f"pg_rewind failed: {' '.join(said[-3:])}"
    # It looks at what was replayed, and WAL may go on beyond that: recovery would replay it.
    return "pg_rewind found nothing to rewind" if any(NOTHING_TO_DO in line for line in said) else ""


def _write_as_owner(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    shutil.chown(temporary, SUPERUSER, SUPERUSER)
    os.replace(temporary, path)
    sync_directory(path.parent)
