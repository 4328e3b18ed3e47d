#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: history
short_description: Add a role change to the cluster's history
version_added: 0.1.0
description:
  - Writes one line to the table C(backup_ha.history) on the primary; the secondary receives it with everything else.
options:
  operation:
    description: What identifies the operation.
    type: str
    required: true
  kind:
    description: The operation's name.
    type: str
    required: true
  from_node:
    description: The primary before.
    type: str
  to_node:
    description: The primary after.
    type: str
  timeline:
    description: The timeline after.
    type: int
  started:
    description: When the operation began, in seconds since the epoch.
    type: float
    required: true
  outcome:
    description: How it ended.
    type: str
    required: true
  who:
    description: Who ran it.
    type: str
  why:
    description: The reason that was given.
    type: str
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
attributes:
  idempotent:
    support: none
    details: Every call adds a line.
"""

EXAMPLES = r"""
- name: Record the switchover
  duet.backup_ha.history:
    operation: 20261122T153000-4711
    kind: switchover
    from_node: node1
    to_node: node2
    started: 1795361400.0
    outcome: done
"""

RETURN = r"""
outcome:
  description: V(refused) when nothing was changed, else V(failed).
  returned: failure
  type: str
reasons:
  description: Why it failed, as sentences.
  returned: failure
  type: list
  elements: str
duration:
  description: How many seconds the module took.
  returned: success
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._config import require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._database import record_history
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module

ARGUMENTS = {
    "operation": {"type": "str", "required": True},
    "kind": {"type": "str", "required": True},
    "from_node": {"type": "str"},
    "to_node": {"type": "str"},
    "timeline": {"type": "int"},
    "started": {"type": "float", "required": True},
    "outcome": {"type": "str", "required": True},
    "who": {"type": "str"},
    "why": {"type": "str"},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    if not module.check_mode:
        record_history(require_config().postgresql, module.params)
    return {"changed": True}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="record")


if __name__ == "__main__":
    main()
