# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events that are still on their way: a file for each on this node's disk, until it has reached whom it has to.

A file's name begins with its time, so that names are in the order of events, and tells which ways are done.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ._config import STATE_DIRECTORY
from ._system import sync_directory, write_durably

SPOOL = STATE_DIRECTORY / "events"
MOST = 1000
STORED, TOLD = "stored", "told"  # in the cluster's database; by the hook
STALE_S = 60.0


class FullError(Exception):
    """Too many events wait."""


def put(event: dict[str, Any], spool: Path | None = None) -> None:
    """Keep an event until it is delivered. OSError when the disk takes none, FullError when too many wait."""
    spool = spool or SPOOL
    spool.mkdir(parents=True, exist_ok=True)
    if len(os.listdir(spool)) >= MOST:
        raise FullError(f"{MOST} events wait in {spool} already.")
    name = f"{round(event['at'] * 1_000_000):018d}-{event['id']}.json"
    write_durably(spool / name, json.dumps(event, default=str) + "\n", mode=0o640)


def waiting(without: str = "", spool: Path | None = None) -> list[Path]:
    """The files in the order of their events; ``without``: of those for which that way is not done."""
    spool = spool or SPOOL
    try:
        names = sorted(os.listdir(spool))
    except FileNotFoundError:
        return []
    events = [name for name in names if not name.startswith(".")]
    return [spool / name for name in events if without not in name.split(".")]


def read(path: Path) -> dict[str, Any] | None:
    """The event; None when there is none in the file (any more)."""
    try:
        event = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return event if isinstance(event, dict) and "id" in event else None


def mark(path: Path, way: str, ways: frozenset[str]) -> None:
    """One of the ``ways`` is done; with the last one the file goes."""
    stem, *done = path.name.removesuffix(".json").split(".")
    if ways <= {*done, way}:
        path.unlink(missing_ok=True)
    else:
        os.replace(path, path.with_name(".".join([stem, *sorted({*done, way}), "json"])))
    sync_directory(path.parent)


def clear_leftovers(spool: Path | None = None) -> None:
    """Remove what a write that was cut off has left, and files that hold no event."""
    spool = spool or SPOOL
    if not spool.is_dir():
        return
    for path in spool.iterdir():
        age = time.time() - path.stat().st_mtime
        if age > STALE_S and (path.name.startswith(".") or read(path) is None):
            path.unlink(missing_ok=True)


def is_empty(spool: Path | None = None) -> bool:
    spool = spool or SPOOL
    return not spool.is_dir() or not os.listdir(spool)
