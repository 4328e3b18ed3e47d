# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When this node last heard from its primary. The server forgets it with its receiver, so the agent writes it down."""

from __future__ import annotations

import os
from pathlib import Path

HEARD_PATH = Path("/run/backup-ha/heard")


def note_heard(at: float) -> None:
    """``at``: seconds since the epoch, by this node's own clock. Not durable: a reboot is a silence anyway."""
    HEARD_PATH.parent.mkdir(parents=True, exist_ok=True)
    new = HEARD_PATH.with_suffix(".new")
    new.write_text(f"{at:.3f}\n", encoding="ascii")
    os.replace(new, HEARD_PATH)


def last_heard() -> float | None:
    """None when it was never written down."""
    try:
        return float(HEARD_PATH.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None
