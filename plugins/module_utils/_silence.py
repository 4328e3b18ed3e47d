# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a node could not be looked at: nobody let us in, it was too slow, or looking failed there. Pure."""

from __future__ import annotations

from typing import Any

from ._errors import first_line

TIMED_OUT = "Timed out after"  # ansible-core's words for a task's own time-out


def is_silent(node: dict[str, Any] | None) -> bool:
    return not node or "silence" in node


def describe_silence(name: str, node: dict[str, Any] | None) -> str:
    """``silence`` holds ``msg`` and ``unreachable`` of the task that looked at the node; empty when none ran.

    A connection from before that leads to a dead node ends with a time-out, too: that one is slow is only possible.
    """
    silence = (node or {}).get("silence") or {}
    said = str(silence.get("msg") or "")
    if silence.get("unreachable") or not said:
        return f"{name} does not answer over SSH."
    if TIMED_OUT in said:
        return f"{name} did not answer in time: it is slow, stands still, or was lost a moment ago."
    return f"{name} answers over SSH and can't be looked at: {first_line(Exception(said)).rstrip('.')}."
