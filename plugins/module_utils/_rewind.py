# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_rewind, and what it takes to start what it leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from ._clone import report_progress
from ._config import NodeConfig
from ._postgres import SUPERUSER, peer_parameters
from ._system import sync_directory
from ._timeline import segment_number

NOTHING_TO_DO = "no rewind required"


def rewind(config: NodeConfig, fork_lsn: int, segment_bytes: int, lock: int) -> str:
    """Undo what this node has from ``fork_lsn`` on. Returns why it can't be done this way, or nothing when it is done.

    The server must be stopped. ``lock`` is passed on, so that it is held for as long as pg_rewind works, even when
    whoever began it was killed.
    """
    directory = Path(config.postgresql.data_directory)
    aside = directory.with_name(f"{directory.name}.rewind-wal")
    own_settings = directory / "postgresql.auto.conf"
    settings = own_settings.read_bytes() if own_settings.exists() else b""
    put_wal_aside(directory / "pg_wal", aside, fork_lsn // segment_bytes, segment_bytes)
    why = _run(config, lock)
    if not why:
        put_wal_back(aside, directory / "pg_wal")
        # What somebody set with ALTER SYSTEM on the primary is about that server.
        _write_as_owner(own_settings, settings)
    shutil.rmtree(aside, ignore_errors=True)
    return why


def put_wal_aside(wal: Path, aside: Path, fork_segment: int, segment_bytes: int) -> None:
    """Second names for the segments before the fork. Recovery begins at a checkpoint before the fork, pg_rewind removes
    what the primary no longer has, and a primary keeps little of what was before its promotion."""
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    for segment in wal.iterdir():
        number = segment_number(segment.name, segment_bytes)
        if number is not None and number < fork_segment:
            try:
                os.link(segment, aside / segment.name)
            except OSError:  # the WAL is on a file system of its own
                shutil.copy2(segment, aside / segment.name)
                shutil.chown(aside / segment.name, SUPERUSER, SUPERUSER)


def put_wal_back(aside: Path, wal: Path) -> None:
    for segment in sorted(aside.iterdir()):
        if not (wal / segment.name).exists():
            shutil.move(segment, wal / segment.name)
            shutil.chown(wal / segment.name, SUPERUSER, SUPERUSER)
    sync_directory(wal)


def _run(config: NodeConfig, lock: int) -> str:
    server = config.postgresql
    source = " ".join(f"{key}={value}" for key, value in peer_parameters(config).items())
    argv = ["runuser", "-u", SUPERUSER, "--", f"{server.bin_directory}/pg_rewind"]
    argv += ["--target-pgdata", server.data_directory, "--source-server", f"{source} dbname=postgres"]
    argv += ["--config-file", f"{server.config_directory}/postgresql.conf", "--no-ensure-shutdown", "--progress"]
    environment = {**os.environ, "LC_ALL": "C"}
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment, pass_fds=(lock,)) as process:
        said = [line.strip() for line in process.stderr or () if not report_progress(line, time.time())]
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
