# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the workload's files on this node: captured where it is the primary, applied where it is the secondary.

Whose disk is right? The stream says it itself: ``file_source`` names the node whose disk the files are from. Three
rules keep a change from being undone by an older one, whoever is promoted while whatever runs:

1. Whoever brings files from the stream to the disk, or from the disk to the stream, holds a lock of this node from
   before it looks at the role until it has ended. Its role is that of the moment, asked after the lock was taken.
2. A standby never captures: it can't write. A node that accepts writes captures only while ``file_source`` names it,
   and that is asked in the same transaction.
3. ``file_source`` is given this node's name only under the lock, and only after everything that the stream holds was
   brought to the disk. What could not be written is remembered, and held back until the disk has something newer.

So a secondary's application that is under way while its node is promoted either ends before the new primary applies
what the stream holds, or begins after that and finds a primary, where it does nothing. A former primary that goes on
after a restart is still named, so what was changed on its disk meanwhile counts. Whoever promotes does 3 before the
workload starts (_promotion.serve); where it could not, because the lock was held for too long, the agent does it, and
nothing is captured until then.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import _file_store as store
from ._config import STATE_DIRECTORY, NodeConfig, Workload
from ._errors import BackupHaError, problem_of
from ._file_tree import Signature, is_excluded, is_listed, is_outside, leads_outside, removable
from ._files import Applied, Entry, Survey, UnsettledError, apply, changes, read_entry, survey
from ._postgres import Connection, SessionError, connect_cluster_database, in_recovery
from ._system import remove_durably, write_durably

LOCK_PATH = Path("/run/backup-ha/files.lock")
UNAPPLIED_PATH = STATE_DIRECTORY / "files-unapplied.json"
PATIENCE_S = 10.0
# Whoever serves late serves worse than with a file that follows a second later.
ADOPT_PATIENCE_S = 5.0

Known = dict[str, tuple[Signature, str]]
# By path, what was written and what is on the disk since: a user with two names, a file system without modes.
Unlike = dict[str, tuple[str, str]]


@dataclass
class Done:
    """What one look has found and done. ``settled``: there is no need for another one at once."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    aside: Path | None = None
    problems: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    settled: bool = True
    known: Known = field(default_factory=dict)
    unlike: Unlike = field(default_factory=dict)


@contextmanager
def files_locked(patience_s: float = PATIENCE_S) -> Iterator[None]:
    """One process of this node at a time; the kernel ends the lock with its holder."""
    LOCK_PATH.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_s
    with open(LOCK_PATH, "w", encoding="ascii") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BackupHaError(
                        f"Another process has been replicating this node's files for {patience_s:.0f} s."
                    ) from None
                time.sleep(0.02)
        yield


# On the primary


def adopt(config: NodeConfig) -> None:
    """Bring what the stream holds to the disk of a node that was just promoted. Never in the way of serving."""
    if not config.workload.files:
        return
    try:
        with connect_cluster_database(config.postgresql) as connection:
            source = store.read_source(connection) if store.is_ready(connection) else None
            if source is None or source.node == config.node:
                return
            with files_locked(ADOPT_PATIENCE_S):
                if not source.node:
                    lead(config, connection)  # a cluster's first primary: from here on its secondary may need them
                    return
                done = _adopt(config, connection)
            for path in done.kept:
                sys.stderr.write(f"{path} was changed on {config.node} alone. It is kept in {done.aside}.\n")
    except (BackupHaError, SessionError, OSError) as error:
        sys.stderr.write(f"The configuration files were not brought up to date yet. {problem_of(error)}\n")


def _adopt(config: NodeConfig, connection: Connection) -> Applied:
    """Under the lock. Nobody's files are this node's: an assembly has not captured any yet."""
    source = store.read_source(connection)
    if source.node == config.node:
        return Applied()
    done = Applied()
    if source.node:
        found = survey(config.workload)
        write, remove, _foreign = plan_application(config.workload, store.stored(connection), found)
        done = _bring(config, connection, (write, remove))
        _remember_unapplied({path: found.digests.get(path, "") for path in done.problems})
    store.claim(connection, config.node)
    return done


def lead(config: NodeConfig, connection: Connection, known: Known | None = None, check: bool = False) -> Done:
    """Under the lock, on the primary: bring what has changed on the disk to the stream."""
    applied = Applied()
    if not check:
        applied = _adopt(config, connection)
        _retry_unapplied(config, connection)
    found = survey(config.workload, known)
    held = _held(found)
    write, remove = plan_capture(store.stored(connection), found, set(held))
    if not check:
        if write or remove:
            write = store.capture(connection, config.node, _readable(config, write, found), remove)
        store.prune(connection)
    failed = {path: f"{path} could not be brought to this node's disk." for path in held}
    failed.update({path: problem for path, problem in applied.problems.items() if path in held})
    settled = not found.unsettled and not held
    return Done(write, remove, applied.kept, applied.aside, found.problems, failed, settled, found.known)


def _retry_unapplied(config: NodeConfig, connection: Connection) -> None:
    """What could not be written when this node was promoted, unless the disk has something newer since."""
    if not read_unapplied():
        return
    held = _held(survey(config.workload))
    in_stream = store.stored(connection)
    done = _bring(config, connection, (sorted(path for path in held if path in in_stream), []))
    _remember_unapplied({path: digest for path, digest in held.items() if path in done.problems})


def _held(found: Survey) -> dict[str, str]:
    return {path: digest for path, digest in read_unapplied().items() if found.digests.get(path, "") == digest}


def plan_capture(in_stream: dict[str, str], found: Survey, held: set[str]) -> tuple[list[str], list[str]]:
    """Paths to write to the stream and to remove from it. Pure. What is not known now stays there as it is."""
    unknown = held | set(found.problems) | found.unsettled
    write, remove = changes(found.digests, in_stream)
    return [path for path in write if path not in unknown], [path for path in remove if path not in unknown]


def _readable(config: NodeConfig, paths: list[str], found: Survey) -> Iterator[Entry]:
    """One after the other, so that no more than one is in memory."""
    for path in paths:
        try:
            yield read_entry(path, config.workload)
        except (FileNotFoundError, UnsettledError):
            found.unsettled.add(path)
        except BackupHaError as error:
            found.problems[path] = str(error)


def read_unapplied() -> dict[str, str]:
    """What the stream holds and this node, since its promotion, could not write: what is on the disk instead."""
    try:
        found = json.loads(UNAPPLIED_PATH.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember_unapplied(found: dict[str, str]) -> None:
    if found == read_unapplied():
        return
    if found:
        write_durably(UNAPPLIED_PATH, json.dumps(found) + "\n", mode=0o600)
    else:
        remove_durably(UNAPPLIED_PATH)


# On the secondary


def follow(
    config: NodeConfig,
    connection: Connection,
    known: Known | None = None,
    unlike: Unlike | None = None,
    check: bool = False,
    may_write: Callable[[], bool] = lambda: True,
) -> Done:
    """Under the lock, on the secondary: bring what the stream holds to the disk.

    What does not come out as it is in the stream is ``unlike`` it, and not written again and again.
    """
    if not in_recovery(connection):
        raise BackupHaError(f"{config.node} accepts writes: its files are captured, and nothing is applied there.")
    if store.read_source(connection).revision <= store.CLAIMED:
        return Done()  # an empty stream is no reason to remove everything
    found, in_stream = survey(config.workload, known), store.stored(connection)
    write, remove, foreign = plan_application(config.workload, in_stream, found)
    same = {p: pair for p, pair in (unlike or {}).items() if pair == (in_stream.get(p), found.digests.get(p))}
    write = [path for path in write if path not in same]
    done = Applied(write, remove)
    if not check:
        _remember_unapplied({})
        done = _bring(config, connection, (write, remove), may_write)
        same.update(_unlike(config, in_stream, done.written))
    failed = done.problems | {path: f"{path} does not come out here as it is in the stream." for path in same}
    problems = {path: problem for path, problem in found.problems.items() if path not in done.written} | foreign
    settled = not found.unsettled and not failed and not done.stopped
    return Done(done.written, done.removed, done.kept, done.aside, problems, failed, settled, found.known, same)


def _unlike(config: NodeConfig, in_stream: dict[str, str], written: list[str]) -> Unlike:
    found: Unlike = {}
    for path in written:
        try:
            digest = read_entry(path, config.workload).digest
        except (BackupHaError, OSError):
            continue
        if digest != in_stream[path]:
            found[path] = (in_stream[path], digest)
    return found


def plan_application(
    workload: Workload, in_stream: dict[str, str], found: Survey
) -> tuple[list[str], list[str], dict[str, str]]:
    """Paths to write to the disk and to remove from it, and why others are not written.

    Per-node files stay, and so does what only this disk can hold.
    """
    write, remove = changes(in_stream, found.digests)
    wanted = [path for path in write if path not in found.unsettled and not is_excluded(path, workload.exclude)]
    foreign = {path: _outside(path) for path in wanted if not is_listed(path, workload.files)}
    return [path for path in wanted if path not in foreign], removable(remove), foreign


def _outside(path: str) -> str:
    return f"{path} is in the stream, but not below the paths that this node replicates; it is not written here."


def _bring(
    config: NodeConfig,
    connection: Connection,
    plan: tuple[list[str], list[str]],
    may_write: Callable[[], bool] = lambda: True,
) -> Applied:
    """Write and remove. A version that the stream's history holds need not be put aside."""
    write, remove = plan
    outside: dict[str, str] = {}

    def entries() -> Iterator[Entry]:
        for path in write:
            # One by one: a directory on the way may be a link that leads elsewhere.
            if is_outside(path, config.workload):
                outside[path] = _outside(path)
                continue
            entry = store.load(connection, path)
            if entry and entry.kind == "link" and leads_outside(entry.path, config.workload, entry.content.decode()):
                outside[path] = f"{path} would be a link to {entry.content.decode()}, outside the replicated paths."
            elif entry:
                yield entry

    def is_known(path: str) -> bool:
        try:
            return store.has_version(connection, path, read_entry(path, config.workload).digest)
        except (BackupHaError, OSError):
            return False

    done = apply(entries(), remove, is_known, may_write)
    done.problems.update(outside)
    return done
