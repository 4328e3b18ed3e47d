# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What status says of a node that rejoins by itself, or does not. Pure."""

from __future__ import annotations

from typing import Any

from ._auto_rejoin_decision import DECLINED, FAILED, PAUSES_S, RUNNING
from ._operation import by_itself

_AGENT_WORKS = (None, "active", "activating", "reloading")


def is_rejoining(node: dict[str, Any] | None) -> bool:
    return bool(_rejoin(node).get("works"))


def is_own_operation(record: dict[str, Any], nodes: dict[str, dict[str, Any] | None]) -> bool:
    """The record of a node that rejoins by itself: of that its unit tells, and nobody has to finish it."""
    return record["kind"] == "rejoin" and record["by"] in map(by_itself, nodes)


def was_interrupted(node: dict[str, Any] | None) -> bool:
    """An attempt began and did not come to its end."""
    return _attempts(node).get("outcome") == RUNNING and not is_rejoining(node)


def rejoin_reasons(name: str, node: dict[str, Any] | None, needed: bool) -> list[str]:
    """What a node does, or did, to rejoin by itself; nothing where there is no need."""
    if is_rejoining(node):
        step = ((node or {}).get("operation") or {}).get("step", "").replace("_", " ")
        return [f"{name} is rejoining by itself{': it began to ' + step if step else ''}."]
    attempts = _attempts(node)
    if not needed or node is None:
        return []
    if attempts.get("outcome") == DECLINED:
        return [f"{name} does not rejoin by itself: {attempts['problem']}"]
    if attempts.get("outcome") not in (FAILED, RUNNING) or (attempts["outcome"] == RUNNING and not _gave_up(attempts)):
        return []
    tried = f"in {attempts['attempts']} of {len(PAUSES_S) + 1} attempts"
    problem = attempts["problem"] or "It was interrupted each time."
    return [f"{name} could not rejoin by itself, {tried}: {problem} {_next_attempt(node, attempts)}"]


def rejoins_by_itself(node: dict[str, Any] | None) -> bool:
    """Whether one only has to wait for the next attempt, which is the first one or goes on with an interrupted one."""
    if node is None or not _rejoin(node).get("wanted") or node.get("agent") not in _AGENT_WORKS:
        return False
    attempts = _attempts(node)
    if node["role"] == "stopped" and not (node.get("unusable") or was_interrupted(node)):
        return False  # somebody has stopped it
    return attempts.get("outcome") not in (FAILED, DECLINED) and not _gave_up(attempts)


def _next_attempt(node: dict[str, Any], attempts: dict[str, Any]) -> str:
    if not _rejoin(node).get("wanted") or _gave_up(attempts):
        return "It is tried no more."
    minutes = max(0.0, attempts["next_at"] - node["time"]) / 60
    return f"The next attempt is in {f'{minutes:.0f} min' if minutes >= 1 else 'less than a minute'}."


def _gave_up(attempts: dict[str, Any]) -> bool:
    return bool(attempts) and attempts["next_at"] is None


def _rejoin(node: dict[str, Any] | None) -> dict[str, Any]:
    return (node or {}).get("rejoin") or {}


def _attempts(node: dict[str, Any] | None) -> dict[str, Any]:
    return _rejoin(node).get("attempts") or {}
