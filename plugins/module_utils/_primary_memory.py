# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""That this node is or was the primary, on its disk: who starts with it may ask to be primary again."""

from __future__ import annotations

import json
import time

from ._config import STATE_DIRECTORY, NodeConfig
from ._system import remove_durably, write_durably

# There from the moment when a node has become primary until it has handed over or follows another one: a node that
# starts with it may ask to be primary again.
PRIMARY_PATH = STATE_DIRECTORY / "primary.json"


def remember_being_primary(config: NodeConfig, timeline: int | None = None) -> None:
    """``timeline``: the one that this node writes; before its promotion it has no number yet."""
    if not PRIMARY_PATH.exists() or _remembered_timeline() != timeline:
        found = {"node": config.node, "since": time.time(), **({"timeline": timeline} if timeline else {})}
        try:
            write_durably(PRIMARY_PATH, json.dumps(found) + "\n")
        except OSError:
            if not PRIMARY_PATH.exists():  # a full disk must not end what goes on without the number
                raise


def _remembered_timeline() -> int | None:
    try:
        found: int = json.loads(PRIMARY_PATH.read_text(encoding="utf-8"))["timeline"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found


def forget_having_been_primary() -> None:
    """From here on this node does not ask to be primary, whatever happens to it."""
    remove_durably(PRIMARY_PATH)


def was_primary(timeline: int | None = None) -> bool:
    """``timeline``: the one that this node's data is on. Who is beyond its own has followed another primary since, and
    was only not there to forget."""
    if not PRIMARY_PATH.exists():
        return False
    own = _remembered_timeline()
    return not (own and timeline and timeline > own)
