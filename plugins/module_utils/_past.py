# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timelines that a server's data came along, read from its own disk: it need not run for that."""

from __future__ import annotations

from pathlib import Path

from ._control import ControlData
from ._lsn import parse_lsn
from ._system import remove_durably
from ._timeline import Stretch, history_file, parse_history, segment_number, timeline_at


def read_past(data_directory: str, control_timeline: int, lsn: int, segment_bytes: int) -> list[Stretch]:
    """The past of a server whose control file names ``control_timeline`` and whose WAL reaches ``lsn``.

    The control file of a standby names the timeline of its last restartpoint, which may be an older one. Its WAL tells:
    the segment that it has reached is there under the name of the timeline that it follows.
    """
    wal = Path(data_directory, "pg_wal")
    timeline = max(control_timeline, _timeline_at(wal, lsn, segment_bytes))
    path = wal / history_file(timeline)
    return parse_history(path.read_text(encoding="utf-8") if path.exists() else "", timeline)


def drop_outvoted_histories(data_directory: str, control: ControlData) -> None:
    """Remove what makes a standby with a fork refuse to start: histories that it received and that leave it out.

    They are copies of the primary's files, which sends them again. PostgreSQL takes the newest one for its goal at
    start, "is not a child of this server's history" (xlogrecovery.c); one that runs already only says so in its log.
    """
    for path in Path(data_directory, "pg_wal").glob("*.history"):
        timeline = int(path.stem, 16)
        past = parse_history(path.read_text(encoding="utf-8"), timeline)
        if timeline > max(control.timeline, control.recovery_timeline) and leaves_out(past, control):
            remove_durably(path)


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
