# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workload's configuration files in the database stream: captured on the primary, applied on the secondary."""

from __future__ import annotations

import fnmatch
import grp
import hashlib
import os
import pwd
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ._config import STATE_DIRECTORY, Workload
from ._errors import BackupHaError
from ._postgres import Connection, rows
from ._system import sync_directory

REPLACED_DIRECTORY = STATE_DIRECTORY / "replaced"
MAXIMUM_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """One file, directory or symbolic link; ``content`` is the link's target for a link and empty for a directory."""

    path: str
    kind: str
    mode: int
    owner: str
    group: str
    content: bytes

    @property
    def digest(self) -> str:
        head = f"{self.kind} {self.mode:o} {self.owner} {self.group}\n".encode()
        return hashlib.sha256(head + self.content).hexdigest()


def scan(workload: Workload) -> dict[str, Entry]:
    """Every entry below the workload's listed paths, by path. Raises BackupHaError for what can't be replicated."""
    found: dict[str, Entry] = {}
    for root in workload.files:
        for path in _walk(Path(root)):
            if not is_excluded(str(path), workload.exclude):
                found[str(path)] = _read(path)
    return found


def _walk(root: Path) -> Iterator[Path]:
    if not root.exists() and not root.is_symlink():
        return
    yield root
    if root.is_dir() and not root.is_symlink():
        for child in sorted(root.iterdir()):
            yield from _walk(child)


def is_excluded(path: str, patterns: tuple[str, ...]) -> bool:
    """Per-node files stay out; a pattern also covers everything below the path it matches."""
    return any(fnmatch.fnmatchcase(path, p) or fnmatch.fnmatchcase(path, f"{p}/*") for p in patterns)


def _read(path: Path) -> Entry:
    status = path.lstat()
    kind = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise BackupHaError(f"{path} is neither a file, a directory nor a symbolic link; it can't be replicated.")
    if kind == "file" and status.st_size > MAXIMUM_BYTES:
        raise BackupHaError(f"{path} has {status.st_size} bytes; a replicated file may have {MAXIMUM_BYTES}.")
    content = path.read_bytes() if kind == "file" else os.readlink(path).encode() if kind == "link" else b""
    owner = pwd.getpwuid(status.st_uid).pw_name
    return Entry(str(path), kind, stat.S_IMODE(status.st_mode), owner, grp.getgrgid(status.st_gid).gr_name, content)


def changes(wanted: dict[str, str], present: dict[str, str]) -> tuple[list[str], list[str]]:
    """Paths to write and paths to remove, from two maps of path to digest. Pure.

    Directories come before what they hold; removals the other way round.
    """
    write = sorted(path for path, digest in wanted.items() if present.get(path) != digest)
    return write, sorted(set(present) - set(wanted), reverse=True)


def stored(connection: Connection) -> dict[str, str]:
    return {row["path"]: row["digest"] for row in rows(connection, "SELECT path, digest FROM backup_ha.file")}


def capture(connection: Connection, found: dict[str, Entry], write: list[str], remove: list[str]) -> None:
    """Bring the table to what the file system holds, in one transaction."""
    with connection.transaction():
        for path in write:
            entry = found[path]
            connection.execute(
                'INSERT INTO backup_ha.file (path, kind, mode, owner, "group", content, digest)'
                " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (path) DO UPDATE SET kind = excluded.kind,"
                ' mode = excluded.mode, owner = excluded.owner, "group" = excluded."group",'
                " content = excluded.content, digest = excluded.digest, captured = clock_timestamp()",
                (path, entry.kind, entry.mode, entry.owner, entry.group, entry.content, entry.digest),
            )
        if remove:
            connection.execute("DELETE FROM backup_ha.file WHERE path = ANY(%s)", (remove,))


def load(connection: Connection, paths: list[str]) -> list[Entry]:
    query = 'SELECT path, kind, mode, owner, "group", content FROM backup_ha.file WHERE path = ANY(%s) ORDER BY path'
    return [Entry(**{**row, "content": bytes(row["content"])}) for row in rows(connection, query, paths)]


def apply(entries: list[Entry], remove: list[str]) -> Path | None:
    """Bring the file system to what the table holds. Returns where replaced files were put aside, if any were."""
    aside = REPLACED_DIRECTORY / time.strftime("%Y%m%dT%H%M%S")
    kept = [_put_aside(Path(path), aside) for path in [*(entry.path for entry in entries), *remove]]
    for path in remove:
        _remove(Path(path))
    for entry in entries:
        _write(entry)
    return aside if any(kept) else None


def _put_aside(path: Path, aside: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    copy = aside / str(path).lstrip("/")
    REPLACED_DIRECTORY.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, copy)
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        if not any(path.iterdir()):
            path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _write(entry: Entry) -> None:
    path = Path(entry.path)
    is_directory = path.is_dir() and not path.is_symlink()
    if os.path.lexists(path) and is_directory != (entry.kind == "directory"):
        _remove(path)
    owner, group = pwd.getpwnam(entry.owner).pw_uid, grp.getgrnam(entry.group).gr_gid
    if entry.kind == "directory":
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, owner, group)
        path.chmod(entry.mode)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.backup-ha")
    temporary.unlink(missing_ok=True)
    if entry.kind == "link":
        temporary.symlink_to(entry.content.decode())
        os.chown(temporary, owner, group, follow_symlinks=False)
    else:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(entry.content)
            os.fchown(stream.fileno(), owner, group)
            os.fchmod(stream.fileno(), entry.mode)
            os.fsync(stream.fileno())
    os.replace(temporary, path)
    sync_directory(path.parent)
