# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a fork: its WAL segments and a summary for people and programs, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._config import STATE_DIRECTORY, NodeConfig
from ._events import emit
from ._fork import Fork
from ._lsn import format_bytes, format_lsn
from ._system import sync_directory, write_durably

FORKS = STATE_DIRECTORY / "forks"
# Never the last bytes of a disk that other things need as well.
RESERVE_BYTES = 64 * 1024 * 1024


def space_for(fork: Fork, segment_bytes: int, folder: Path = FORKS) -> tuple[int, int]:
    """How many bytes are needed to keep a fork, and how many are free there."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return len(fork.segments) * segment_bytes + RESERVE_BYTES, shutil.disk_usage(there).free


def summarize(config: NodeConfig, fork: Fork, tables: list[dict[str, Any]], kept: float) -> dict[str, Any]:
    """The account of a fork as plain data. Pure."""
    return {
        "cluster": config.cluster,
        "node": config.node,
        "primary": config.peer,
        "kept": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(kept)),
        "timeline": fork.timeline,
        "fork_lsn": format_lsn(fork.begin),
        "end_lsn": format_lsn(fork.end),
        "bytes": fork.bytes,
        "segments": fork.segments,
        "missing_segments": fork.missing,
        "commits": fork.commits,
        "first_commit": fork.first_commit,
        "last_commit": fork.last_commit,
        "tables": tables,
    }


def describe(summary: dict[str, Any], bin_directory: str) -> str:
    """The same for a person. Pure."""
    segments, commits = summary["segments"], summary["commits"]
    size = f"{format_bytes(summary['bytes'])} of WAL in {_count(len(segments), 'segment')}"
    lines = [
        f"What {summary['node']} of cluster {summary['cluster']} had written and {summary['primary']}, which became "
        "primary, never got.",
        f"Kept {summary['kept']}, before {summary['node']} followed {summary['primary']}.",
        "",
        f"From {summary['fork_lsn']} to {summary['end_lsn']} on timeline {summary['timeline']}: {size}.",
        f"{_count(commits, 'transaction')} committed"
        + (f", the first at {summary['first_commit']}, the last at {summary['last_commit']}." if commits else "."),
    ]
    if summary["missing_segments"]:
        lines.append(f"No longer on disk, and lost: {', '.join(summary['missing_segments'])}.")
    lines += ["", "Changed rows by table, with those of transactions that did not commit:"]
    lines += [
        f"  {row['database']}: {row['table']}: {row['inserted']} inserted, {row['updated']} updated, "
        f"{row['deleted']} deleted"
        for row in summary["tables"]
    ] or ["  none"]
    lines += [
        "",
        "Every record, in this folder:",
        f"  {bin_directory}/pg_waldump --path=wal --timeline={summary['timeline']} --start={summary['fork_lsn']}",
    ]
    return "\n".join(lines) + "\n"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def kept_before(fork: Fork, folder: Path = FORKS) -> Path | None:
    """Where this very fork was kept by an earlier, interrupted run."""
    for path in sorted(folder.glob("[!.]*/summary.json")):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        wanted = (fork.timeline, format_lsn(fork.begin), format_lsn(fork.end))
        if (summary.get("timeline"), summary.get("fork_lsn"), summary.get("end_lsn")) == wanted:
            return path.parent
    return None


def keep(
    config: NodeConfig,
    fork: Fork,
    tables: list[dict[str, Any]],
    sign_of_life: Callable[[], None] = lambda: None,
    folder: Path = FORKS,
) -> Path:
    """Copy the fork to a folder of its own, which gets its name when all of it is on disk. Returns that folder."""
    kept = time.time()
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(kept))}-tli{fork.timeline}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left_over in folder.glob(".*.partial"):
        shutil.rmtree(left_over)
    partial = folder / f".{name}.partial"
    (partial / "wal").mkdir(mode=0o700, parents=True)
    source = Path(config.postgresql.data_directory, "pg_wal")
    for segment in fork.segments:
        _copy_durably(source / segment, partial / "wal" / segment)
        sign_of_life()
    for history in source.glob("*.history"):
        _copy_durably(history, partial / "wal" / history.name)
    sync_directory(partial / "wal")
    summary = summarize(config, fork, tables, kept)
    write_durably(partial / "summary.json", json.dumps(summary, indent=2) + "\n", mode=0o600)
    write_durably(partial / "summary.txt", describe(summary, config.postgresql.bin_directory), mode=0o600)
    os.rename(partial, folder / name)
    sync_directory(folder)
    message = f"{format_bytes(fork.bytes)} of WAL that {config.peer} never got are kept in {folder / name}."
    emit("fork_kept", message, config, folder=str(folder / name), bytes=fork.bytes, commits=fork.commits)
    return folder / name


def _copy_durably(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb") as copy:
        os.chmod(target, 0o600)
        os.fsync(copy.fileno())
