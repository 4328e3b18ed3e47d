# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh copy of the primary on this node: a unit of its own, so that it outlives who began it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ._abstain import begin_to_abstain
from ._config import NodeConfig
from ._errors import BackupHaError, RefusedError
from ._leftovers import free_bytes, incoming, leftovers, outgoing, remove_leftovers
from ._lsn import format_bytes
from ._observe import observe_node
from ._operation import renew
from ._postgres import (
    SUPERUSER,
    connect_peer,
    drop_slot,
    ensure_slot,
    in_recovery,
    one,
    peer_parameters,
    rows,
    write_standby_signal,
)
from ._postgres import start as start_server
from ._primary_memory import forget_having_been_primary, was_primary
from ._streaming import await_streaming
from ._system import run, sync_directory, systemctl, unit_is_active
from ._user_data import holds_user_data

UNIT = "backup-ha-clone.service"
PROGRESS_PATH = Path("/run/backup-ha/clone.json")
LOCK_PATH = Path("/run/backup-ha/clone.lock")
STANDBY_STATES = ("in archive recovery", "shut down in recovery")
_PROGRESS = re.compile(r"(\d+)/(\d+) kB \((\d+)%\)")


def plan_clone(local: dict[str, Any], primary: dict[str, Any], erase: bool) -> list[str]:
    """The steps to make this node a copy of the primary. Pure.

    ``local`` holds role, state (of the control file), copied (a base backup that has not been started yet: its control
    file is still the primary's), system_identifier (None without a data directory), holds_data, was_primary (and has
    not handed over), leftovers (an interrupted copy left something) and free_bytes; ``primary`` holds in_recovery,
    system_identifier, size_bytes and tablespaces. A node that is or was a standby of the same system only has to be
    started. One that was a writer has WAL of its own, even with the same identifier: servers that were made from one
    image share it.
    """
    if primary["in_recovery"]:
        raise RefusedError(
            "Nothing was changed.", ["The other node does not accept writes; there is no primary to copy."]
        )
    same = local["system_identifier"] == primary["system_identifier"]
    standby = local["role"] == "secondary" or local["state"] in STANDBY_STATES or local["copied"]
    if same and standby and not erase:
        return (["tidy"] if local["leftovers"] else []) + ([] if local["role"] == "secondary" else ["start"])
    reasons = []
    if local["holds_data"] and local["was_primary"]:
        reasons.append(
            "This server is or was the cluster's primary, so no copy replaces its data. duet.backup_ha.rejoin makes a "
            "former primary follow, and keeps what only it has."
        )
    elif local["holds_data"] and not erase:
        reasons.append(
            "This server's PostgreSQL holds databases of its own; a copy of the primary would replace them. "
            "Name this host in backup_ha_erase_secondary to allow that."
        )
    needed = int(primary["size_bytes"] * 1.05) + 64 * 1024 * 1024
    if local["free_bytes"] < needed:
        reasons.append(f"{format_bytes(needed)} are needed for the copy, {format_bytes(local['free_bytes'])} are free.")
    if primary["tablespaces"]:
        reasons.append(f"The primary has tablespaces ({', '.join(primary['tablespaces'])}); they can't be copied.")
    if reasons:
        raise RefusedError("Nothing was changed.", reasons)
    return ["create_slot", "copy", "stop", "swap", "start"]


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait for another copy on this node: one whose control node is gone finishes by itself."""
    LOCK_PATH.parent.mkdir(parents=True, exist_ok=True)
    with LOCK_PATH.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def begin(erase: bool, timeout: float) -> None:
    """Start the copy as a unit. One that runs already goes on: it does the same."""
    if unit_is_active(UNIT):
        return
    PROGRESS_PATH.unlink(missing_ok=True)
    command = ["/usr/bin/backup-ha", "clone", f"--timeout={timeout:.0f}", *(["--erase"] if erase else [])]
    run(["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", *command])


def run_and_report(config: NodeConfig, erase: bool, timeout: float) -> list[str]:
    """The whole copy; how it ended is where the control node looks for it. Returns the steps."""
    try:
        with one_at_a_time():
            steps = plan(config, erase)
            if steps:
                clone(config, steps, timeout)
    except Exception as error:
        reasons = error.reasons if isinstance(error, RefusedError) else []
        report(state="failed", message=" ".join([str(error), *reasons]))
        raise
    report(state="done", steps=steps)
    return steps


def plan(config: NodeConfig, erase: bool) -> list[str]:
    """plan_clone() for the nodes as they are."""
    observed = observe_node(config)
    directory = Path(config.postgresql.data_directory)
    control = observed["postgresql"]["control"] or {}
    local = {
        "role": observed["role"],
        "state": control.get("state"),
        "copied": (directory / "backup_label").exists(),
        "system_identifier": control.get("system_identifier"),
        "holds_data": holds_user_data(str(directory)),
        "was_primary": was_primary(),
        "leftovers": bool(leftovers(directory)),
        "free_bytes": free_bytes(directory),
    }
    return plan_clone(local, observe_primary(config), erase)


def observe_primary(config: NodeConfig) -> dict[str, Any]:
    """What plan_clone() needs to know about the primary."""
    with connect_peer(config) as peer:
        return {
            "in_recovery": in_recovery(peer),
            "system_identifier": one(peer, "SELECT system_identifier::text FROM pg_control_system()"),
            "size_bytes": int(one(peer, "SELECT sum(pg_database_size(oid)) FROM pg_database")),
            "tablespaces": [
                row["spcname"]
                for row in rows(
                    peer, "SELECT spcname FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')"
                )
            ],
        }


def clone(config: NodeConfig, steps: list[str], timeout: float) -> None:
    """Carry out a plan of plan_clone()."""
    directory = Path(config.postgresql.data_directory)
    if "tidy" in steps or "copy" in steps:
        remove_leftovers(directory)
    if "create_slot" in steps:
        with connect_peer(config) as peer:
            # The slot of an earlier life keeps WAL that the new copy does not need.
            drop_slot(peer, config.slot)
            ensure_slot(peer, config.slot)
    if "copy" in steps:
        _copy(config, incoming(directory))
    if "stop" in steps:
        forget_having_been_primary()
        # Not past systemd, which would start the server again in the middle of the exchange.
        systemctl("stop", config.postgresql.unit, timeout=timeout)
    if "swap" in steps:
        _swap(incoming(directory), directory)
    if "start" in steps:
        write_standby_signal(config.postgresql)
        start_server(config.postgresql)
        await_streaming(config, timeout)


def _swap(copy: Path, directory: Path) -> None:
    """Put the finished copy in place; until the second rename the old directory could still be put back."""
    old = outgoing(directory)
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        os.rename(directory, old)
    os.rename(copy, directory)
    # Whoever takes back the mark of an unusable directory next must not be ahead of this on the disk.
    sync_directory(directory.parent)
    shutil.rmtree(old, ignore_errors=True)


def _copy(config: NodeConfig, target: Path) -> None:
    conninfo = " ".join(f"{key}={value}" for key, value in peer_parameters(config).items())
    argv = ["runuser", "-u", SUPERUSER, "--", f"{config.postgresql.bin_directory}/pg_basebackup"]
    argv += ["--dbname", conninfo, "--pgdata", str(target), "--slot", config.slot, "--wal-method=stream"]
    argv += ["--checkpoint=fast", "--no-password", "--progress"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env={**os.environ, "LC_ALL": "C"}) as process:
        said = [line.strip() for line in process.stderr or () if not report_progress(line, time.time())]
    if process.returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        begin_to_abstain()
        raise BackupHaError(f"pg_basebackup failed: {' '.join(said[-3:])}")


def report_progress(line: str, now: float) -> bool:
    """Store a progress line of pg_basebackup where the control node looks for it. False for any other line."""
    found = _PROGRESS.search(line)
    if not found:
        return False
    done, total = (int(part) * 1024 for part in found.groups()[:2])
    report(state="copying", done_bytes=done, total_bytes=total, time=now)
    renew()
    return True


def report(**found: Any) -> None:
    """Say how far the copy is; whoever reads it never finds half of it."""
    PROGRESS_PATH.parent.mkdir(parents=True, exist_ok=True)
    new = PROGRESS_PATH.with_suffix(".new")
    new.write_text(json.dumps(found), encoding="ascii")
    os.replace(new, PROGRESS_PATH)
