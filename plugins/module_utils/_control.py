# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL's control file says, read by pg_controldata: the only witness when no server runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ._errors import BackupHaError
from ._parameters import STANDBY_MINIMUMS

# Of the states in src/bin/pg_controldata/pg_controldata.c.
CLEAN_WRITER_STOP = "shut down"

_FIELDS = {
    "Database cluster state": "state",
    "Latest checkpoint location": "checkpoint_lsn",
    "Latest checkpoint's TimeLineID": "timeline",
    "Database system identifier": "system_identifier",
    "Data page checksum version": "checksums",
    "wal_log_hints setting": "wal_log_hints",
    "Minimum recovery ending location": "recovery_lsn",
    "Min recovery ending loc's timeline": "recovery_timeline",
    "Bytes per WAL segment": "segment_bytes",
}


@dataclass(frozen=True)
class ControlData:
    """The fields of the control file that decide about roles."""

    state: str
    checkpoint_lsn: str
    timeline: int
    system_identifier: str
    checksums: bool
    wal_log_hints: bool
    recovery_lsn: str = "0/0"
    recovery_timeline: int = 0
    segment_bytes: int = 16 * 1024 * 1024
    standby_minimums: dict[str, int] = field(default_factory=dict)  # what a standby must have at least, by parameter

    @property
    def stopped_cleanly_as_writer(self) -> bool:
        """The last record in the WAL is the shutdown checkpoint of a writer."""
        return self.state == CLEAN_WRITER_STOP

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def parse_control_data(text: str) -> ControlData:
    """Read the output of ``LC_ALL=C pg_controldata``.

    Raises BackupHaError naming the first line that is missing.
    """
    found: dict[str, str] = {}
    minimums: dict[str, int] = {}
    for line in text.splitlines():
        label, colon, value = line.partition(":")
        if colon and label.strip() in _FIELDS:
            found[_FIELDS[label.strip()]] = value.strip()
        elif colon and label.removesuffix(" setting") in STANDBY_MINIMUMS:
            minimums[STANDBY_MINIMUMS[label.removesuffix(" setting")]] = int(value)
    for label, name in _FIELDS.items():
        if name not in found:
            raise BackupHaError(f"pg_controldata printed no line '{label}'.", output=text[:2000])
    return ControlData(
        state=found["state"],
        checkpoint_lsn=found["checkpoint_lsn"],
        timeline=int(found["timeline"]),
        system_identifier=found["system_identifier"],
        checksums=found["checksums"] != "0",
        wal_log_hints=found["wal_log_hints"] == "on",
        recovery_lsn=found["recovery_lsn"],
        recovery_timeline=int(found["recovery_timeline"]),
        segment_bytes=int(found["segment_bytes"]),
        standby_minimums=minimums,
    )
