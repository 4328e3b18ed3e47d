# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events as a person reads them: pure, and without the driver, because the control node needs no more of them."""

from __future__ import annotations

import time
from typing import Any


def latest(events: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """In their order, each once. Pure."""
    once = {event["id"]: event for event in events}
    return sorted(once.values(), key=lambda event: float(event["at"]))[-limit:]


def line_of(event: dict[str, Any]) -> str:
    """For a person, in this machine's time."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["at"]))
    mark = {"error": "!! ", "warning": "! "}.get(event["severity"], "")
    return f"{when}  {event['node']}  {event['kind']}: {mark}{event['message']}"
