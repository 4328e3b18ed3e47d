# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workload's configuration files in the cluster's database, their past versions, and whose disk they are from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ._bounded import bounded
from ._errors import BackupHaError
from ._files import Entry
from ._postgres import ANSWER_S, Connection, one, rows

KEPT_DAYS = 30
CLAIMED = 1  # the revision of a stream that has an owner, and for which nothing was captured yet
REMOVED = "removed"  # the kind of a version that says that the file was removed

_COLUMNS = 'path, kind, mode, owner, "group", content, digest'
_UPSERT = (
    f"INSERT INTO backup_ha.file ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %b, %s)"
    " ON CONFLICT (path) DO UPDATE SET kind = excluded.kind, mode = excluded.mode, owner = excluded.owner,"
    ' "group" = excluded."group", content = excluded.content, digest = excluded.digest, captured = clock_timestamp()'
)
_REMEMBER = f"INSERT INTO backup_ha.file_version ({_COLUMNS}, node) SELECT {_COLUMNS}, %s FROM backup_ha.file AS f"
_REMEMBER_REMOVAL = (
    f"INSERT INTO backup_ha.file_version ({_COLUMNS}, node)"
    f" SELECT path, '{REMOVED}', mode, owner, \"group\", '', '', %s FROM backup_ha.file WHERE path = ANY(%s)"
)
# Kept from the day on which another version took its place, not from its own.
_PRUNE = f"""
DELETE FROM backup_ha.file_version AS v
 WHERE captured < now() - interval '{KEPT_DAYS} days'
   AND (kind = '{REMOVED}'
        OR EXISTS (SELECT FROM backup_ha.file_version AS n
                    WHERE n.path = v.path AND n.id > v.id AND n.captured < now() - interval '{KEPT_DAYS} days'))"""
_CLAIM = (
    "INSERT INTO backup_ha.file_source AS s (node, revision) VALUES (%s, 1) ON CONFLICT (single)"
    " DO UPDATE SET node = excluded.node, revision = s.revision + 1, changed = clock_timestamp()"
)
_ADVANCE = "UPDATE backup_ha.file_source SET revision = revision + 1, changed = clock_timestamp() WHERE node = %s"


class Source(NamedTuple):
    """From whose disk the files are, and how often they were changed. An empty name: nobody's yet."""

    node: str = ""
    revision: int = 0


def is_ready(connection: Connection) -> bool:
    """Whether the tables are there; an older cluster gets them with its next assembly."""
    return bool(
        one(connection, "SELECT to_regclass('backup_ha.file_source') IS NOT NULL")
        and one(connection, "SELECT to_regclass('backup_ha.file_version') IS NOT NULL")
    )


def read_source(connection: Connection) -> Source:
    found = rows(connection, "SELECT node, revision FROM backup_ha.file_source")
    return Source(found[0]["node"], found[0]["revision"]) if found else Source()


def stored(connection: Connection) -> dict[str, str]:
    return {row["path"]: row["digest"] for row in rows(connection, "SELECT path, digest FROM backup_ha.file")}


def claim(connection: Connection, node: str) -> None:
    """From here on the files in the stream are those of this node's disk. What has no version yet gets one."""
    with bounded(connection, ANSWER_S), connection.transaction():
        connection.execute(_CLAIM, (node,))
        connection.execute(
            f"{_REMEMBER} WHERE NOT EXISTS (SELECT FROM backup_ha.file_version AS v WHERE v.path = f.path)", (node,)
        )


def capture(connection: Connection, node: str, entries: Iterable[Entry], remove: list[str]) -> list[str]:
    """Bring the table to what this node's disk holds, in one transaction. Returns the paths that were written."""
    written = []
    with connection.transaction():
        with bounded(connection, ANSWER_S):
            if connection.execute(_ADVANCE, (node,)).rowcount != 1:
                raise BackupHaError(f"The files in the stream are not those of {node}; nothing was captured.")
        for entry in entries:
            values = (entry.path, entry.kind, entry.mode, entry.owner, entry.group, entry.content, entry.digest)
            with bounded(connection, ANSWER_S):
                connection.execute(_UPSERT, values)
            written.append(entry.path)
        with bounded(connection, ANSWER_S):
            connection.execute(f"{_REMEMBER} WHERE path = ANY(%s)", (node, written))
            connection.execute(_REMEMBER_REMOVAL, (node, remove))
            connection.execute("DELETE FROM backup_ha.file WHERE path = ANY(%s)", (remove,))
    return written


def load(connection: Connection, path: str) -> Entry | None:
    """None when it was removed meanwhile."""
    found = rows(connection, f"SELECT {_COLUMNS} FROM backup_ha.file WHERE path = %s", path)
    return _entry(found[0]) if found else None


def _entry(row: dict[str, Any]) -> Entry:
    fields = ("path", "kind", "mode", "owner", "group")
    return Entry(**{name: row[name] for name in fields}, content=bytes(row["content"]))


def has_version(connection: Connection, path: str, digest: str) -> bool:
    """Whether the history holds exactly this."""
    query = "SELECT count(*) FROM backup_ha.file_version WHERE path = %s AND digest = %s"
    return bool(one(connection, query, path, digest))


def prune(connection: Connection) -> None:
    with bounded(connection, ANSWER_S):
        connection.execute(_PRUNE)


def versions(connection: Connection, path: str | None, limit: int) -> list[dict[str, Any]]:
    """What is kept of one file, or of all, the newest first; without the contents."""
    query = (
        'SELECT id, path, kind, mode, owner, "group", octet_length(content) AS bytes, digest, node,'
        " captured FROM backup_ha.file_version WHERE %s::text IS NULL OR path = %s ORDER BY id DESC LIMIT %s"
    )
    return rows(connection, query, path, path, limit)


def find_version(
    connection: Connection, path: str, version: int | None = None, at: str | None = None, before: int | None = None
) -> tuple[dict[str, Any], Entry] | None:
    """One version of a file: by its number, as of a time in PostgreSQL's words, before another one; else the newest."""
    query = (
        f"SELECT id, captured, {_COLUMNS} FROM backup_ha.file_version WHERE path = %s"
        " AND (%s::bigint IS NULL OR id = %s) AND (%s::text IS NULL OR captured <= %s::text::timestamptz)"
        " AND (%s::bigint IS NULL OR id < %s) ORDER BY id DESC LIMIT 1"
    )
    found = rows(connection, query, path, version, version, at, at, before, before)
    return (found[0], _entry(found[0])) if found else None
