# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of the workload there are and whether they have changed, from what stat says: nothing is read."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator

from ._config import Workload

# What an application that was killed leaves behind, beside the file that it was about to replace.
TEMPORARY_SUFFIX = ".backup-ha"
Signature = tuple[int, ...]


def walk(workload: Workload) -> Iterator[tuple[str, os.stat_result | OSError]]:
    """Every path that is listed or below a listed one, with its status or why there is none.

    What vanishes meanwhile was never there.
    """
    for root in workload.files:
        yield from _walk(root.rstrip("/"), workload.exclude)


def _walk(path: str, exclude: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result | OSError]]:
    if is_excluded(path, exclude) or _is_temporary(path):
        return
    try:
        status = os.lstat(path)
        names = sorted(os.listdir(path)) if status.st_mode & 0o170000 == 0o040000 else []
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield path, error
        return
    yield path, status
    for name in names:
        yield from _walk(f"{path}/{name}", exclude)


def _is_temporary(path: str) -> bool:
    return path.endswith(TEMPORARY_SUFFIX) and os.path.basename(path).startswith(".")


def is_excluded(path: str, patterns: tuple[str, ...]) -> bool:
    """Per-node files stay out; a pattern also covers everything below the path it matches."""
    return any(fnmatch.fnmatchcase(path, p) or fnmatch.fnmatchcase(path, f"{p}/*") for p in patterns)


def signature_of(status: os.stat_result) -> Signature:
    """Differs whenever the file does: its ctime can't be set back."""
    return (
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
    )


def fingerprint(workload: Workload) -> int:
    """One number for all of it, so that a watch needs no memory."""
    number = 0
    for path, status in walk(workload):
        number = hash((number, path, str(status) if isinstance(status, OSError) else signature_of(status)))
    return number


def is_listed(path: str, roots: tuple[str, ...]) -> bool:
    """Whether a path is one of the listed ones or below one. Pure.

    >>> [is_listed(path, ("/etc/bacula/",)) for path in ("/etc/bacula", "/etc/bacula/a", "/etc/bacula2")]
    [True, True, False]
    """
    return any(path == root or path.startswith(f"{root}/") for root in (root.rstrip("/") for root in roots))


def leads_outside(path: str, workload: Workload, target: str = "") -> bool:
    """Whether a path or a symbolic link, followed to its end, is not below the listed paths.

    With ``target``: whether a link that leads there would be so.
    """
    roots = tuple(root.rstrip("/") for root in workload.files)
    real = tuple(os.path.join(os.path.realpath(os.path.dirname(root)), os.path.basename(root)) for root in roots)
    end = os.path.join(os.path.dirname(path), target) if target else path
    return not is_listed(os.path.realpath(end), roots + real)


def is_outside(path: str, workload: Workload) -> bool:
    """Whether a file of the stream would be written to a place that is not listed on this node."""
    roots = tuple(root.rstrip("/") for root in workload.files)
    if not is_listed(path, roots) or os.path.normpath(path) != path:
        return True
    return path not in roots and leads_outside(os.path.dirname(path), workload)


def removable(paths: list[str]) -> list[str]:
    """Without the directories that hold something else, which stays: they can't be removed."""
    gone: set[str] = set()
    for path in sorted(paths, reverse=True):
        if not any(child not in gone for child in _children(path)):
            gone.add(path)
    return [path for path in paths if path in gone]


def _children(path: str) -> list[str]:
    """Of a directory; nothing else has any, nor has what has vanished."""
    try:
        return [] if os.path.islink(path) else [f"{path}/{name}" for name in os.listdir(path)]
    except OSError:
        return []
