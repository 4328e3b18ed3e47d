# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.duet.backup_ha.plugins.module_utils._outcome import answer

DOCUMENTATION = r"""
name: outcome
short_description: Say in one word how an operation ended on a cluster
version_added: 0.2.0
description:
  - Judges how the tasks of an operation ended on each node. Changes nothing.
  - Returns C(operation), C(outcome), C(reasons), C(primary) and C(secondary). The outcome is V(done), V(planned) (a
    rehearsal), V(rolled_back), V(in_doubt), V(refused), V(in_progress) (another operation is under way) or V(failed).
positional: operation
options:
  _input:
    description: For each node's name C(failure), the result of the task that failed, and C(lost), whether it was lost.
    type: dict
    required: true
  operation:
    description: The operation's name.
    type: str
    required: true
  before:
    description: Primary and secondary before; empty where that is not known.
    type: list
    elements: str
    default: ["", ""]
  wanted:
    description: Primary and secondary when it is done.
    type: list
    elements: str
    default: ["", ""]
  leader:
    description: The node that decides, when there is one.
    type: str
    default: ""
  began:
    description: Whether something may have been changed.
    type: bool
    default: false
  passed:
    description: Whether the point of no return is known to be behind.
    type: bool
    default: false
  rehearsal:
    description: Whether this was a rehearsal.
    type: bool
    default: false
  changed:
    description: Whether servers are not what they were, so that it can't have been refused.
    type: bool
    default: false
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
answer: "{{ {'node1': {}, 'node2': {'failure': result}} | duet.backup_ha.outcome('switchover') }}"
"""

RETURN = r"""
_value:
  description: The answer.
  type: dict
"""


def outcome(
    nodes: dict[str, dict[str, Any]],
    operation: str,
    before: Any = ("", ""),
    wanted: Any = ("", ""),
    leader: str = "",
    began: bool = False,
    passed: bool = False,
    rehearsal: bool = False,
    changed: bool = False,
) -> dict[str, Any]:
    """Plain data in, plain data out; the decisions are in module_utils/_outcome.py."""
    first, second = tuple(before), tuple(wanted)
    roles = (first[0], first[1]), (second[0], second[1])
    return answer(operation, nodes, *roles, leader or None, began, passed, rehearsal, changed)


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"outcome": outcome}
