# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timelines that a server's data came along, read from its own disk: it need not run for that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ._config import STATE_DIRECTORY
from ._control import ControlData
from ._lsn import format_lsn, parse_lsn
from ._system import remove_durably, write_durably
from ._timeline import Stretch, history_file, outvoter, parse_history, segment_number, timeline_at

# Timeline histories that left this node out, by the system that they are of.
OUTVOTED_DIRECTORY = STATE_DIRECTORY / "outvoted"


def read_past(data_directory: str, control_timeline: int, lsn: int, segment_bytes: int) -> list[Stretch]:
    """The past of a server whose control file names ``control_timeline`` and whose WAL reaches ``lsn``.

    The control file of a standby names the timeline of its last restartpoint, which may be an older one. Its WAL tells:
    the segment that it has reached is there under the name of the timeline that it follows.
    """
    wal = Path(data_directory, "pg_wal")
    timeline = max(control_timeline, _timeline_at(wal, lsn, segment_bytes))
    path = wal / history_file(timeline)
    return parse_history(path.read_text(encoding="utf-8") if path.exists() else "", timeline)


def set_aside_outvoted_histories(data_directory: str, control: ControlData) -> None:
    """Move away what makes a standby with a fork refuse to start: histories that it received and that leave it out.

    PostgreSQL takes the newest one for its goal at start, "is not a child of this server's history" (xlogrecovery.c);
    one that runs already only says so in its log. They are kept, because when the primary is gone nothing else on this
    node proves that it was left behind.
    """
    for path in Path(data_directory, "pg_wal").glob("*.history"):
        timeline, text = int(path.stem, 16), path.read_text(encoding="utf-8")
        newer = timeline > max(control.timeline, control.recovery_timeline)
        if newer and leaves_out(parse_history(text, timeline), control):
            write_durably(_aside(control) / path.name, text)
            remove_durably(path)


def put_back_histories(data_directory: str, control: ControlData) -> None:
    """Before a promotion: PostgreSQL gives the new timeline a number that none of the histories it sees has."""
    wal = Path(data_directory, "pg_wal")
    for path in _aside(control).glob("*.history"):
        target = wal / path.name
        if not target.exists():
            write_durably(target, path.read_text(encoding="utf-8"))
            os.chown(target, wal.stat().st_uid, wal.stat().st_gid)


def find_outvoter(data_directory: str, control: ControlData, timeline: int, lsn: str | None) -> dict[str, Any] | None:
    """The timeline that the other node began without what this standby has replayed; None when none is known.

    ``timeline`` and ``lsn`` are what its server or its control file names.
    """
    if not lsn:
        return None
    reached = parse_lsn(lsn)
    own = read_past(data_directory, timeline, reached, control.segment_bytes)
    folders = (Path(data_directory, "pg_wal"), _aside(control))
    heard = [path for folder in folders for path in folder.glob("*.history")]
    found = outvoter(own, reached, [parse_history(p.read_text(encoding="utf-8"), int(p.stem, 16)) for p in heard])
    return {"timeline": found.timeline, "since": format_lsn(found.begin)} if found else None


def _aside(control: ControlData) -> Path:
    return OUTVOTED_DIRECTORY / control.system_identifier


def leaves_out(past: list[Stretch], control: ControlData) -> bool:
    """Whether a server that is on the way along ``past`` never was where this control file says. Pure."""
    reached = [(parse_lsn(control.checkpoint_lsn), control.timeline)]
    if control.recovery_timeline:
        reached.append((parse_lsn(control.recovery_lsn) - 1, control.recovery_timeline))
    return any(timeline_at(past, lsn) != timeline for lsn, timeline in reached)


def _timeline_at(wal: Path, lsn: int, segment_bytes: int) -> int:
    wanted = max(0, lsn - 1) // segment_bytes
    found = [int(path.name[:8], 16) for path in wal.iterdir() if segment_number(path.name, segment_bytes) == wanted]
    return max((timeline for timeline in found if (wal / history_file(timeline)).exists()), default=0)
