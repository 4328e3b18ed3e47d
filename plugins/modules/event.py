#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: event
short_description: Tell how an operation has ended, as an event
version_added: 0.2.0
description:
  - Writes the event C(operation_ended) to this node's journal and, with O(announced), on its way to the table
    C(backup_ha.event) and to C(backup_ha_event_hook).
  - It changes nothing of the cluster and does not wait for anything.
options:
  operation:
    description: What identifies the operation.
    type: str
    required: true
  kind:
    description: The operation's name.
    type: str
    required: true
  outcome:
    description: How it ended, in one word.
    type: str
    required: true
  reasons:
    description: Why, as sentences.
    type: list
    elements: str
    default: []
  announced:
    description: Whether this node tells the cluster and the event hook.
    type: bool
    default: false
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
attributes:
  idempotent:
    support: none
    details: Every call is an event.
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
- name: Tell how it ended
  duet.backup_ha.event:
    operation: vault-switchover-1795361400.000
    kind: switchover
    outcome: done
    announced: true
"""

RETURN = r"""
reasons:
  description: Why it failed, as sentences.
  returned: failure
  type: list
  elements: str
outcome:
  description: V(failed).
  returned: failure
  type: str
duration:
  description: How many seconds the module took.
  returned: success
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._events import tell_end, this_node
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module

ARGUMENTS = {
    "operation": {"type": "str", "required": True},
    "kind": {"type": "str", "required": True},
    "outcome": {"type": "str", "required": True},
    "reasons": {"type": "list", "elements": "str", "default": []},
    "announced": {"type": "bool", "default": False},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    told = module.params
    if not module.check_mode:
        tell_end(this_node(), told["operation"], told["kind"], told["outcome"], told["reasons"], told["announced"])
    return {"changed": True}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
