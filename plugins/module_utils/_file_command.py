# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`backup-ha diff` and `backup-ha config`: the replicated files and their past versions, for an administrator."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import _file_store as store
from ._config import NodeConfig
from ._errors import BackupHaError, RefusedError
from ._file_drift import observe_files
from ._file_sync import files_locked, lead
from ._file_tree import is_excluded, is_outside
from ._files import Entry, apply, read_entry
from ._postgres import Connection, SessionError, connect_cluster_database, in_recovery

SAME, DIFFERENT, TROUBLE = 0, 1, 2


def add_arguments(commands: Any) -> None:
    """The parsers; ``commands`` is what argparse gives for subcommands."""
    diff = commands.add_parser("diff", help="show where the replicated files differ on this node")
    diff.add_argument("--json", action="store_true", help="everything, as JSON")
    config = commands.add_parser("config", help="past versions of the replicated files")
    verbs = config.add_subparsers(dest="verb", required=True, metavar="VERB")
    history = verbs.add_parser("history", help="list the versions of one file, or of all")
    history.add_argument("path", nargs="?", metavar="PATH")
    history.add_argument("--limit", type=int, default=50, metavar="N", help="how many (%(default)s)")
    history.add_argument("--json", action="store_true", help="everything but the contents, as JSON")
    show = verbs.add_parser("show", help="show a file as it was, on root's terminal")
    show.add_argument("--output", metavar="FILE", help="write it to a new file, with its mode, instead")
    restore = verbs.add_parser("restore", help="bring back a past version, on the primary")
    for parser in (show, restore):
        parser.add_argument("path", metavar="PATH")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--version", type=int, metavar="ID", help="as the history numbers it")
        which.add_argument("--at", metavar="WHEN", help="as of that time: '2026-11-20 10:00', yesterday")


def run_diff(config: NodeConfig, options: argparse.Namespace) -> int:
    """Exit codes as diff(1): 0 nothing differs, 1 something does or can't be replicated, 2 nobody can tell."""
    found = observe_files(config)
    if found is None:
        if not config.workload.files:
            found = {"drift": [], "problems": {}}
        else:
            sys.stderr.write("backup-ha: The files can't be compared: the local PostgreSQL does not answer.\n")
            return TROUBLE
    _print(options.json, found, describe_diff(config.node, found))
    return DIFFERENT if found["drift"] or found["problems"] else SAME


def describe_diff(node: str, found: dict[str, Any]) -> list[str]:
    """Lines for a person. Pure."""
    words = {"changed": "differs from the stream", "missing": f"is not on {node}", "extra": "is not in the stream"}
    lines = [f"{difference['path']} {words[difference['how']]}" for difference in found["drift"]]
    return [*lines, *found["problems"].values()]


def run_config(config: NodeConfig, options: argparse.Namespace) -> int:
    try:
        with connect_cluster_database(config.postgresql) as connection:
            if not store.is_ready(connection):
                raise BackupHaError("This cluster keeps no versions yet. Run duet.backup_ha.assemble.")
            _VERBS[options.verb](config, connection, options)
    except SessionError as error:
        if getattr(error, "sqlstate", None) in ("22007", "22008"):
            raise BackupHaError(f"'{options.at}' is no time; try '2026-11-20 10:00' or 'yesterday'.") from error
        raise
    return 0


def _history(_config: NodeConfig, connection: Connection, options: argparse.Namespace) -> None:
    path = os.path.abspath(options.path) if options.path else None
    found = store.versions(connection, path, options.limit)
    _print(options.json, found, [_line(version) for version in found] or ["No version is kept."])


def _line(version: dict[str, Any]) -> str:
    when = version["captured"].astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if version["kind"] == store.REMOVED:
        what = "removed"
    else:
        what = f"{version['mode']:04o} {version['owner']}:{version['group']} {version['bytes']} bytes"
    return f"{version['id']:>6}  {when}  {version['node']}  {version['path']}  {what}"


def _show(_config: NodeConfig, connection: Connection, options: argparse.Namespace) -> None:
    """Configuration holds passwords: not to a pipe, which may end in a log or in a file that all may read."""
    entry = _wanted(connection, options)
    if options.output:
        _write_new(Path(options.output), entry)
        return
    if os.geteuid() != 0 or not sys.stdout.isatty():
        raise RefusedError(
            "Nothing was shown.",
            ["The file may hold passwords, so it is shown on root's terminal only; --output FILE keeps its mode."],
        )
    sys.stdout.write(entry.content.decode("utf-8", "replace"))


def _write_new(target: Path, entry: Entry) -> None:
    if entry.kind != "file":
        raise RefusedError("Nothing was written.", [f"{entry.path} was a {entry.kind}."])
    try:
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(entry.content)
            os.fchmod(stream.fileno(), entry.mode & 0o777)
    except OSError as error:
        raise BackupHaError(f"{target} can't be written: {error.strerror}.") from error


def _restore(config: NodeConfig, connection: Connection, options: argparse.Namespace) -> None:
    path = os.path.abspath(options.path)
    if in_recovery(connection):
        raise RefusedError(
            "Nothing was changed.", [f"{config.node} is not the primary; restore the file on {config.peer}."]
        )
    if is_outside(path, config.workload) or is_excluded(path, config.workload.exclude):
        raise RefusedError("Nothing was changed.", [f"{path} is not replicated on {config.node}."])
    with files_locked():
        # What is on the disk now becomes a version first, so that nothing is lost whatever is restored.
        lead(config, connection)
        entry = _wanted(connection, options, before_present=options.version is None and options.at is None)
        if _present_digest(path, config) == entry.digest:
            sys.stdout.write(f"{path} is as it was in that version already.\n")
            return
        done = apply([entry], [])
        for problem in done.problems.values():
            raise BackupHaError(problem)
        lead(config, connection)
    kept = f" What was there is kept in {done.aside}." if done.aside else ""
    sys.stdout.write(f"{path} was restored.{kept} The workload reads it when it is told to reload.\n")


def _present_digest(path: str, config: NodeConfig) -> str:
    try:
        return read_entry(path, config.workload).digest
    except (BackupHaError, OSError):
        return ""


def _wanted(connection: Connection, options: argparse.Namespace, before_present: bool = False) -> Entry:
    """The version that was asked for; for a restore without one, that before the present."""
    path = os.path.abspath(options.path)
    found = store.find_version(connection, path, version=options.version, at=options.at)
    if before_present and found and found[1].kind != store.REMOVED:
        found = store.find_version(connection, path, before=found[0]["id"])
    if before_present and found and found[1].kind == store.REMOVED:
        found = store.find_version(connection, path, before=found[0]["id"])
    if found is None:
        raise RefusedError(
            "There is no such version.", [f"backup-ha config history {path} lists the versions that are kept."]
        )
    if found[1].kind == store.REMOVED:
        when = found[0]["captured"].astimezone().strftime("%Y-%m-%d %H:%M:%S")
        raise RefusedError("There is no such version.", [f"{path} was removed at {when}."])
    return found[1]


_VERBS: dict[str, Callable[[NodeConfig, Connection, argparse.Namespace], None]] = {
    "history": _history,
    "show": _show,
    "restore": _restore,
}


def _print(as_json: bool, found: Any, lines: list[str]) -> None:
    text = json.dumps(found, indent=2, sort_keys=True, default=str) if as_json else "\n".join(lines)
    if text:
        sys.stdout.write(f"{text}\n")
