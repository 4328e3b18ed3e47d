# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark of a data directory that must not be started: a rewind has begun in it and has not ended.

It is written before the first byte changes and removed after the last one is on disk. Whatever interrupts the rewind,
a node with this mark needs a fresh copy.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from ._config import STATE_DIRECTORY
from ._errors import RefusedError
from ._system import remove_durably, write_durably

UNUSABLE_PATH = STATE_DIRECTORY / "rewinding.json"


def mark_unusable(fork: str, path: Path = UNUSABLE_PATH) -> None:
    """``fork`` is where the data that only this node had was kept."""
    write_durably(path, json.dumps({"since": time.time(), "fork": fork}) + "\n")


def clear_unusable(path: Path = UNUSABLE_PATH) -> None:
    remove_durably(path)


def is_unusable(path: Path = UNUSABLE_PATH) -> bool:
    """Whatever the mark says: one that can't be read counts as one."""
    return path.exists()


def refuse_unusable(path: Path = UNUSABLE_PATH) -> None:
    """Raise RefusedError when this node's data directory must not be started."""
    if is_unusable(path):
        raise RefusedError(
            "PostgreSQL must not start.",
            [
                "A rewind was interrupted, and the data directory is neither old nor new. "
                "Run backup-ha rejoin on this node: it makes a fresh copy of the primary."
            ],
        )
