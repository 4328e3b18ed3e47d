# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node is to take over from which. Pure; whether the old primary is gone is judged in _failover.py."""

from __future__ import annotations

from typing import Any


def roles(nodes: dict[str, dict[str, Any] | None], confirmed: str) -> tuple[str, str, list[str]]:
    """The names of the old primary and of the node that takes over, and why there is none, as sentences.

    ``nodes`` holds observe_node() by name, None for one that does not answer. Names are empty where there is none.
    """
    writers = [name for name, node in nodes.items() if node and node["role"] == "primary"]
    standbys = [name for name, node in nodes.items() if node and node["role"] == "secondary"]
    if writers:
        # Two of them are a split that nobody takes over from; one that was confirmed to be gone has taken over.
        other = next((name for name in nodes if name not in writers), "")
        if other and other == confirmed:
            return other, writers[0], []
        return writers[0], other, _nobody(nodes, other)
    if len(standbys) > 1:
        # The one that was primary asks to go on; the other one follows.
        asking = [name for name in standbys if (nodes[name] or {}).get("waits")]
        named = confirmed if confirmed in standbys else asking[0] if len(asking) == 1 else ""
        if not named:
            return (
                "",
                "",
                ["Both nodes are read-only, and neither says that it was the primary: run duet.backup_ha.status."],
            )
        standbys = [name for name in standbys if name != named]
    taker = standbys[0] if standbys else ""
    return next((name for name in nodes if name != taker), ""), taker, _nobody(nodes, taker)


def _nobody(nodes: dict[str, dict[str, Any] | None], taker: str) -> list[str]:
    if taker and nodes[taker]:
        return []
    said = [f"{name} {'is ' + node['role'] if node else 'does not answer over SSH'}" for name, node in nodes.items()]
    return [f"There is no secondary that could take over: {', '.join(said)}."]
