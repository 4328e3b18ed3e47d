# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the agents, and with the protection of commits that they look after. Pure."""

from __future__ import annotations

from typing import Any

from ._config import AGENT_UNIT

_WORKS = (None, "active", "activating", "reloading")


def idle_agents(nodes: dict[str, dict[str, Any] | None]) -> list[str]:
    """The nodes whose agent does not run."""
    return sorted(name for name, node in nodes.items() if node and node.get("agent") not in _WORKS)


def protection_reasons(primary: str, nodes: dict[str, dict[str, Any] | None]) -> list[str]:
    """Why commits on the primary are less safe than is wanted, as sentences."""
    reasons = [f"{AGENT_UNIT} does not run on {name}." for name in idle_agents(nodes)]
    writer = nodes[primary] or {}
    protection = writer.get("protection")
    if not protection:
        return reasons
    if protection["waiting"]:
        return [f"On {primary}: {protection['waiting']}", *reasons]
    word = protection["word"] or {}
    if (word.get("node"), word.get("timeline"), word.get("protected")) == (
        primary,
        writer["postgresql"].get("timeline"),
        True,
    ):
        return reasons
    because = f" ({word['why']})" if word.get("node") == primary and not word.get("protected") else ""
    return [f"Commits on {primary} do not wait for the secondary yet, or not any more{because}.", *reasons]
