# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workload's configuration files on this node's disk: read, compared, written."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ._config import STATE_DIRECTORY, Workload
from ._errors import BackupHaError
from ._file_tree import TEMPORARY_SUFFIX, Signature, leads_outside, signature_of, walk
from ._system import sync_directory

REPLACED_DIRECTORY = STATE_DIRECTORY / "replaced"
MAXIMUM_BYTES = 16 * 1024 * 1024
# A file that changed so lately may change again within the same tick of the file system's clock.
FRESH_NS = 2_000_000_000
READS = 3


class UnsettledError(BackupHaError):
    """The file is being written at this moment; the next look will do."""


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


@dataclass
class Survey:
    """What is on this node's disk, by path; ``known`` spares the next survey to read what has not changed."""

    digests: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)
    changed_ns: dict[str, int] = field(default_factory=dict)
    known: dict[str, tuple[Signature, str]] = field(default_factory=dict)


def survey(workload: Workload, known: dict[str, tuple[Signature, str]] | None = None) -> Survey:
    """Everything below the workload's listed paths. What can't be replicated is named, and stops nothing else."""
    found = Survey()
    begin = time.time_ns()
    for path, status in walk(workload):
        if isinstance(status, OSError):
            found.problems[path] = f"{path} can't be read: {status.strerror}."
            continue
        signature, (before, digest) = signature_of(status), (known or {}).get(path, ((), ""))
        if signature != before:
            try:
                digest = read_entry(path, workload).digest
            except FileNotFoundError:
                continue
            except UnsettledError:
                found.unsettled.add(path)
                continue
            except BackupHaError as error:
                # A name that is no text is none in the stream either, and can't be printed.
                found.problems[path if _is_text(path) else repr(path)] = str(error)
                continue
        found.digests[path] = digest
        found.changed_ns[path] = status.st_ctime_ns
        # Where a link leads is decided by other paths as well.
        if stat.S_ISREG(status.st_mode) and status.st_ctime_ns < begin - FRESH_NS:
            found.known[path] = (signature, digest)
    return found


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_entry(path: str, workload: Workload) -> Entry:
    """FileNotFoundError when it vanishes, UnsettledError while somebody writes it, BackupHaError for what can't be."""
    try:
        path.encode()
        for _attempt in range(READS):
            before = os.lstat(path)
            entry = _read(path, before, workload)
            if signature_of(os.lstat(path)) == signature_of(before):
                return entry
    except UnicodeEncodeError as error:
        raise BackupHaError(f"The name {path!r} is not UTF-8; it can't be replicated.") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(path) from error
    except OSError as error:
        raise BackupHaError(f"{path} can't be read: {error.strerror}.") from error
    raise UnsettledError(f"{path} is being written.")


def _read(path: str, status: os.stat_result, workload: Workload) -> Entry:
    kind = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise BackupHaError(f"{path} is neither a file, a directory nor a symbolic link; it can't be replicated.")
    if kind == "file" and status.st_size > MAXIMUM_BYTES:
        raise BackupHaError(f"{path} has {status.st_size} bytes; a replicated file may have {MAXIMUM_BYTES}.")
    target = os.readlink(path).encode() if kind == "link" else b""
    if kind == "link" and leads_outside(path, workload):
        raise BackupHaError(
            f"{path} is a symbolic link to {target.decode()}, which is outside the replicated paths; "
            "it can't be replicated. Replace it by what it leads to, or add that to the workload's files."
        )
    try:
        owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    except KeyError as error:
        raise BackupHaError(
            f"{path} belongs to {status.st_uid}:{status.st_gid}, which has no name here; it can't be replicated."
        ) from error
    content = _content(path) if kind == "file" else target
    return Entry(path, kind, stat.S_IMODE(status.st_mode), owner, group, content)


def _content(path: str) -> bytes:
    # Whatever may have taken the file's place meanwhile: no link is followed, no pipe waited for.
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        return stream.read(MAXIMUM_BYTES + 1)


def changes(wanted: dict[str, str], present: dict[str, str]) -> tuple[list[str], list[str]]:
    """Paths to write and paths to remove, from two maps of path to digest. Pure.

    Directories come before what they hold; removals the other way round.
    """
    write = sorted(path for path, digest in wanted.items() if present.get(path) != digest)
    return write, sorted(set(present) - set(wanted), reverse=True)


@dataclass
class Applied:
    """What was done: paths; ``kept`` were put aside into ``aside`` first; ``problems`` by path; ``stopped`` halfway."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    aside: Path | None = None
    problems: dict[str, str] = field(default_factory=dict)
    stopped: bool = False


def apply(
    entries: Iterable[Entry],
    remove: list[str],
    is_known: Callable[[str], bool] = lambda _path: False,
    may_write: Callable[[], bool] = lambda: True,
) -> Applied:
    """Bring the file system to what the table holds. What can't be done is named, and stops nothing else.

    A file that is replaced or removed is put aside, unless it ``is_known``: then the stream's history has it.
    ``may_write`` is asked before each file.
    """
    done = Applied()
    for path in remove:
        if not may_write():
            done.stopped = True
            return done
        with _named(done.problems, path, "removed"):
            _put_aside(Path(path), done, is_known)
            _remove(Path(path))
            done.removed.append(path)
    for entry in entries:
        if not may_write():
            done.stopped = True
            break
        with _named(done.problems, entry.path, "written"):
            _put_aside(Path(entry.path), done, is_known)
            _write(entry)
            done.written.append(entry.path)
    return done


@contextmanager
def _named(problems: dict[str, str], path: str, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problems[path] = f"{path} can't be {what}: {error.strerror}."
    except BackupHaError as error:
        problems[path] = f"{path} can't be {what}: {error}"


def _put_aside(path: Path, done: Applied, is_known: Callable[[str], bool]) -> None:
    if path.is_symlink() or not path.is_file() or is_known(str(path)):
        return
    if done.aside is None:
        done.aside = _new_directory()
    copy = done.aside / str(path).lstrip("/")
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, copy)
    done.kept.append(str(path))


def _new_directory() -> Path:
    """One of its own for each application, also within the same second."""
    REPLACED_DIRECTORY.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp, number = time.strftime("%Y%m%dT%H%M%S"), 1
    while True:
        path = REPLACED_DIRECTORY / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            path.mkdir(mode=0o700)
            return path
        except FileExistsError:
            number += 1


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        if not any(path.iterdir()):
            path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _write(entry: Entry) -> None:
    path = Path(entry.path)
    owner, group = _ids(entry)
    is_directory = path.is_dir() and not path.is_symlink()
    if os.path.lexists(path) and is_directory != (entry.kind == "directory"):
        _remove(path)
    if entry.kind == "directory":
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, owner, group)
        path.chmod(entry.mode)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    temporary.unlink(missing_ok=True)
    if entry.kind == "link":
        temporary.symlink_to(entry.content.decode())
        os.chown(temporary, owner, group, follow_symlinks=False)
    else:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(entry.content)
            stream.flush()
            os.fchown(stream.fileno(), owner, group)
            os.fchmod(stream.fileno(), entry.mode)
            os.fsync(stream.fileno())
    os.replace(temporary, path)
    sync_directory(path.parent)


def _ids(entry: Entry) -> tuple[int, int]:
    """Users and groups are told by name; a number may be another's here."""
    try:
        return pwd.getpwnam(entry.owner).pw_uid, grp.getgrnam(entry.group).gr_gid
    except KeyError as error:
        raise BackupHaError(
            f"the user {entry.owner} or the group {entry.group} does not exist on this node."
        ) from error
