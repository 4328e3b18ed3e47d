# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the replication of files remembers between two looks, and forgets with a boot."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ._file_tree import Signature
from ._system import write_durably

STATE_PATH = Path("/run/backup-ha/files.json")


@dataclass
class State:
    """``known`` and ``unlike``: see _file_sync; ``failed``: what could not be written; ``said``: in the journal."""

    known: dict[str, tuple[Signature, str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    unlike: dict[str, tuple[str, str]] = field(default_factory=dict)


def read_state() -> State:
    """Lost or broken, it costs one look at everything and a repeated notice."""
    try:
        found = json.loads(STATE_PATH.read_text(encoding="utf-8"))
        known = {path: (tuple(signature), digest) for path, (signature, digest) in found["known"].items()}
        unlike = {path: (wanted, present) for path, (wanted, present) in found["unlike"].items()}
        return State(known, dict(found["failed"]), dict(found["said"]), unlike)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return State()


def written_at() -> float | None:
    """Epoch seconds; None before the first time."""
    return STATE_PATH.stat().st_mtime if STATE_PATH.exists() else None


def write_state(state: State) -> None:
    text = json.dumps(asdict(state))
    if not os.path.exists(STATE_PATH) or STATE_PATH.read_text(encoding="utf-8") != text:
        write_durably(STATE_PATH, text, mode=0o600)
