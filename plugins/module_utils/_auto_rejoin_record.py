# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account of the attempts to rejoin, on disk: it outlives the agent, and the machine's restarts."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from ._auto_rejoin_decision import Record, pause_after
from ._config import STATE_DIRECTORY
from ._operation import boot_id
from ._system import remove_durably, write_durably

RECORD_PATH = STATE_DIRECTORY / "rejoin.json"


def read_record(path: Path = RECORD_PATH) -> Record | None:
    """What became of the attempts so far; None without any. What can't be read tells nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Record(**{field.name: found[field.name] for field in fields(Record)})
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None


def write_record(record: Record, path: Path = RECORD_PATH) -> None:
    write_durably(path, json.dumps(record.as_dict()) + "\n")


def this_start() -> str:
    """Of this machine, or of the container that it is: those share their host's boot."""
    return f"{boot_id()}:{Path('/proc/1/stat').read_text(encoding='ascii').rpartition(')')[2].split()[19]}"


def forget_record(path: Path = RECORD_PATH) -> None:
    remove_durably(path)


def observe_attempts(path: Path = RECORD_PATH) -> dict[str, Any] | None:
    """The record as plain data, and when the next attempt is due: ``next_at``, None for never."""
    record = read_record(path)
    if record is None:
        return None
    pause = pause_after(record, this_start())
    return {**record.as_dict(), "next_at": None if pause is None else record.at + pause}
