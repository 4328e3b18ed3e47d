# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence as _evidence.py gathers it: node2 follows, node1 was the primary; to be changed by one test each."""

from __future__ import annotations

from typing import Any

from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds

Evidence = dict[str, Any]
BEGAN = 1795374664.0
RECEIVED = "0/3500000"


def silent() -> Evidence:
    """Nobody answers, and nobody else was asked."""
    return {
        "node": "node2",
        "peer": "node1",
        "endpoint_address": worlds.ENDPOINT,
        "began": BEGAN,
        "local": {
            "role": "secondary",
            "member": True,
            "timeline": 3,
            "system_identifier": worlds.SYSTEM,
            "received": RECEIVED,
            "replayed": RECEIVED,
            "paused": False,
            "too_small": [],
            "outvoted": None,
            "was_primary": False,
            "told_down": False,
            "began_to_take_over": False,
            "streamed": True,
            "synchronous": False,
            "receiver": None,
            "latest_end": None,
            "last_message": None,
            "last_wal": BEGAN - 7,
        },
        "there": {"port": "silent", "session": "none", "problem": None, "ping": False},
        "endpoint": {"held_here": False, "holder": None, "port": "silent"},
        "control": None,
    }


def changed(evidence: Evidence, **parts: dict[str, Any]) -> Evidence:
    """The same evidence with some facts of its parts set."""
    for part, facts in parts.items():
        evidence[part] = {**(evidence[part] or {}), **facts}
    return evidence


def refused() -> Evidence:
    """Connections to the old primary's PostgreSQL are refused, by its kernel or by a firewall."""
    return changed(silent(), there={"port": "refused", "ping": True})


def down() -> Evidence:
    """The old primary's agent says that no PostgreSQL runs there."""
    return changed(refused(), local={"told_down": True})


def standby(lsn: str = RECEIVED, timeline: int = 3, system: str = worlds.SYSTEM) -> Evidence:
    """The old primary came back read-only."""
    there = {"port": "open", "session": "standby", "ping": True, "timeline": timeline, "lsn": lsn}
    return changed(silent(), there={**there, "system_identifier": system})


def seen(node: worlds.Node | None, port: str = "silent", endpoint_port: str = "silent") -> Evidence:
    """What the control node saw comes on top of silence."""
    return changed(silent(), control={"primary": node or {}, "port": port, "endpoint_port": endpoint_port})


def stopped(state: str = "shut down", checkpoint: str = RECEIVED, timeline: int = 3) -> worlds.Node:
    """The old primary over SSH: PostgreSQL is stopped."""
    node = worlds.stopped("node1", state)
    node["postgresql"]["control"].update(checkpoint_lsn=checkpoint, timeline=timeline)
    return node
