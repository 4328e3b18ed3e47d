# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only a former primary has: its WAL from the fork on, read by pg_waldump as one account of what was written."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._config import Postgresql
from ._errors import BackupHaError, UnreachableError
from ._lsn import format_lsn, parse_lsn
from ._postgres import Connection, SessionError, rows
from ._timeline import Stretch, segment_name, segment_number, segments

WALDUMP_TIMEOUT_S = 600.0
# As pg_waldump of PostgreSQL 13 to 17 prints them.
_RECORD = re.compile(r"^rmgr: (\w+) +len .*? tx: +(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), .*?desc: (\S+) (.*)")
_RELATION = re.compile(r"blkref #0: rel (\d+)/(\d+)/(\d+)")
_TUPLES = re.compile(r"(\d+) tuples|ntuples: (\d+)")
_END = re.compile(r"error in WAL record at ([0-9A-F/]+):.*?(?: at ([0-9A-F]+/[0-9A-F]+))?(?::|$)")
_NOTHING_THERE = ("could not find a valid record after", "could not find file")
_CHANGES = {"INSERT": "inserted", "MULTI_INSERT": "inserted", "UPDATE": "updated", "HOT_UPDATE": "updated"}
_CHANGES["DELETE"] = "deleted"
_SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast")

Relation = tuple[int, int, int]  # table space, database, file node


@dataclass
class Fork:
    """WAL that the other node never had; ``missing`` says which part of it is no longer on disk, if any is."""

    begin: int
    end: int
    timeline: int
    records: int = 0
    commits: int = 0
    first_commit: str | None = None
    last_commit: str | None = None
    relations: dict[Relation, dict[str, int]] = field(default_factory=dict)
    segments: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return self.end - self.begin


def take_in(fork: Fork, lines: Iterable[str]) -> None:
    """Count what the records say. Changes count whether or not their transaction committed. Pure but for ``fork``."""
    for line in lines:
        found = _RECORD.match(line)
        if not found:
            continue
        manager, _transaction, lsn, what, rest = found.groups()
        fork.records += 1
        fork.end = max(fork.end, parse_lsn(lsn) + 1)
        what = what.removesuffix("+INIT")
        if manager == "Transaction" and what in ("COMMIT", "COMMIT_PREPARED"):
            when = re.search(r"\d{4}-\d\d-\d\d [\d:.]+ UTC", rest)
            fork.commits += 1
            fork.last_commit = when.group() if when else fork.last_commit
            fork.first_commit = fork.first_commit or fork.last_commit
        elif manager in ("Heap", "Heap2") and what in _CHANGES:
            _take_in_change(fork, what, rest)


def _take_in_change(fork: Fork, what: str, rest: str) -> None:
    place = _RELATION.search(rest)
    if not place:
        return
    space, database, node = (int(part) for part in place.groups())
    counts = fork.relations.setdefault((space, database, node), {"inserted": 0, "updated": 0, "deleted": 0})
    tuples = _TUPLES.search(rest) if what == "MULTI_INSERT" else None
    counts[_CHANGES[what]] += int(tuples.group(1) or tuples.group(2)) if tuples else 1


def end_of_wal(said: str) -> int | None:
    """Where pg_waldump found no further record, from its last words; None when they say something else."""
    found = _END.search(said)
    return max(parse_lsn(lsn) for lsn in found.groups() if lsn) if found else None


def read_fork(server: Postgresql, stretches: list[Stretch], known_end: int, segment_bytes: int) -> Fork | None:
    """Read the WAL of these stretches from the local disk; None when nothing was written there.

    ``known_end`` is how far this server is known to have come: if the WAL ends before that, a part of it is gone.
    """
    fork = Fork(stretches[0].begin, stretches[0].begin, stretches[-1].timeline)
    directory = Path(server.data_directory, "pg_wal")
    for stretch in stretches:
        ends_before = fork.end
        _dump(server, directory, stretch, fork, segment_bytes)
        end = fork.end if stretch.end is None else stretch.end
        if end > stretch.begin:
            names = segments(stretch.timeline, stretch.begin, end, segment_bytes)
            fork.segments += [name for name in names if (directory / name).exists()]
            fork.missing += [name for name in names if not (directory / name).exists()]
        fork.end = max(fork.end, ends_before, stretch.end or 0)
    if fork.end < known_end:
        names = segments(fork.timeline, fork.end, known_end, segment_bytes)
        fork.missing += [name for name in names if name not in fork.segments + fork.missing]
        fork.end = known_end
    return fork if fork.end > fork.begin else None


def files_to_read(present: Iterable[str], stretch: Stretch, segment_bytes: int) -> list[str]:
    """The first and the last segment for pg_waldump; none where the first one is gone. Pure.

    Without names it takes the size of a segment from any file of the folder, and one that was made in advance has none.
    """
    first = segment_name(stretch.timeline, stretch.begin, segment_bytes)
    if stretch.end is not None:
        last = segment_name(stretch.timeline, stretch.end - 1, segment_bytes)
    else:
        names = [name for name in present if segment_number(name, segment_bytes) is not None and name[:8] == first[:8]]
        last = max([first, *names])
    return [first, last] if first in present else []


def _dump(server: Postgresql, directory: Path, stretch: Stretch, fork: Fork, segment_bytes: int) -> None:
    files = files_to_read({path.name for path in directory.iterdir()}, stretch, segment_bytes)
    if not files:
        return
    argv = [f"{server.bin_directory}/pg_waldump", f"--path={directory}", f"--timeline={stretch.timeline}"]
    argv += [f"--start={format_lsn(stretch.begin)}"]
    argv += [f"--end={format_lsn(stretch.end)}"] if stretch.end is not None else []
    argv += files
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=environment, stdout=pipe, stderr=pipe, text=True, errors="replace") as process:
        guard = threading.Timer(WALDUMP_TIMEOUT_S, process.kill)
        guard.start()
        try:
            take_in(fork, process.stdout or ())
            said = process.stderr.read() if process.stderr else ""
        finally:
            guard.cancel()
            process.wait(10)
    if process.returncode < 0:
        raise BackupHaError(f"pg_waldump did not read the WAL from {format_lsn(stretch.begin)} on: it was ended.")
    if stretch.end is None:
        end = end_of_wal(said)
        if end is None and process.returncode and not any(words in said for words in _NOTHING_THERE):
            # Else what is there would be taken for gone, and given up.
            raise BackupHaError(f"pg_waldump did not read the WAL from {format_lsn(stretch.begin)} on: {said.strip()}")
        fork.end = max(fork.end, end or 0)


def name_tables(
    relations: dict[Relation, dict[str, int]], connect: Callable[[str], Connection]
) -> list[dict[str, Any]]:
    """The tables that the changes belong to, by database; one that is not known any more is named by its numbers.

    Changes of PostgreSQL's own catalogues are left out: nobody would put them back by hand.
    """
    named: list[dict[str, Any]] = []
    databases = _database_names(connect)
    for database in sorted({key[1] for key in relations} - {0}):
        nodes = {key: counts for key, counts in relations.items() if key[1] == database}
        name = databases.get(database)
        names = _relation_names(list(nodes), connect, name) if name else {}
        for key, counts in nodes.items():
            table = names.get(key, f"(unknown table, file {key[2]})")
            if table is not None:
                named.append({"database": name or f"(unknown database {database})", "table": table, **counts})
    return sorted(named, key=lambda row: (row["database"], row["table"]))


def _database_names(connect: Callable[[str], Connection]) -> dict[int, str]:
    try:
        with connect("postgres") as connection:
            found = rows(connection, "SELECT oid::bigint, datname FROM pg_database")
    except (UnreachableError, SessionError):
        return {}
    return {row["oid"]: _text(row["datname"]) for row in found}


_NAMES = """
SELECT f.space, f.node, n.nspname AS schema, format('%%I.%%I', n.nspname, c.relname) AS name
  FROM unnest(%s::bigint[], %s::bigint[]) AS f(space, node)
  JOIN pg_class AS c ON c.oid = pg_filenode_relation(f.space::oid, f.node::oid)
  JOIN pg_namespace AS n ON n.oid = c.relnamespace"""


def _relation_names(
    keys: list[Relation], connect: Callable[[str], Connection], name: str
) -> dict[Relation, str | None]:
    """Names by relation; None for one of PostgreSQL's own."""
    try:
        with connect(name) as connection:
            found = rows(connection, _NAMES, [key[0] for key in keys], [key[2] for key in keys])
    except (UnreachableError, SessionError):
        return {}
    return {
        (row["space"], keys[0][1], row["node"]): None if _text(row["schema"]) in _SYSTEM_SCHEMAS else _text(row["name"])
        for row in found
    }


def _text(value: str | bytes) -> str:
    """A database without an encoding, as Bacula's catalog is, says everything in bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
