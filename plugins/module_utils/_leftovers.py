# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an interrupted copy leaves beside the data directory: a part of the copy, or the directory that it replaced."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


def incoming(data_directory: str | Path) -> Path:
    """Where a copy is made."""
    return Path(f"{data_directory}.incoming")


def outgoing(data_directory: str | Path) -> Path:
    """Where the old directory waits for its end."""
    return Path(f"{data_directory}.outgoing")


def leftovers(data_directory: str | Path) -> list[Path]:
    """What the next copy may remove before it begins. The old directory counts only once a new one is in place."""
    places = [incoming(data_directory), *([outgoing(data_directory)] if Path(data_directory).is_dir() else [])]
    return [place for place in places if place.is_dir()]


def remove_leftovers(data_directory: str | Path) -> None:
    for place in leftovers(data_directory):
        shutil.rmtree(place, ignore_errors=True)


def leftover_bytes(data_directory: str | Path) -> int:
    return sum(map(size_of, leftovers(data_directory)))


def free_bytes(data_directory: str | Path) -> int:
    """The room for a copy beside this directory, with what is removed before the copy begins."""
    return shutil.disk_usage(Path(data_directory).parent).free + leftover_bytes(data_directory)


def size_of(directory: str | Path) -> int:
    """What it takes on the disk; a copy that is under way moves its files meanwhile."""
    total = 0
    for folder, _folders, files in os.walk(directory):
        for name in files:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total
