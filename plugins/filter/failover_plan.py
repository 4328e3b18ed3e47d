# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.duet.backup_ha.plugins.module_utils._failover_roles import roles

DOCUMENTATION = r"""
name: failover_plan
short_description: Find out which node is to take over from which
version_added: 0.2.0
description:
  - Judges what M(duet.backup_ha.node_info) found on both nodes. Changes nothing.
  - Returns C(primary) (the old one), C(secondary), C(answering) (the nodes that answer) and C(refusals)
    (sentences; none when there is somebody to take over). Whether the primary is gone is judged by
    M(duet.backup_ha.failover).
options:
  _input:
    description: For each node's name its observation, or an empty value when it did not answer.
    type: dict
    required: true
  confirmed:
    description: The name of the old primary that somebody confirmed; it counts when both nodes are read-only.
    type: str
    default: ""
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
plan: "{{ {'node1': one.node, 'node2': two.node} | duet.backup_ha.failover_plan }}"
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
"""


def failover_plan(nodes: dict[str, dict[str, Any] | None], confirmed: str = "") -> dict[str, Any]:
    """Plain data in, plain data out; the decisions are in module_utils/_failover_roles.py."""
    known = {name: node or None for name, node in nodes.items()}
    primary, secondary, refusals = roles(known, confirmed)
    answering = [name for name, node in known.items() if node]
    return {"primary": primary, "secondary": secondary, "answering": answering, "refusals": refusals}


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"failover_plan": failover_plan}
