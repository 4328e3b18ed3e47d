#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: operation
short_description: Begin or end an operation, so that a cluster has one at a time
version_added: 0.1.0
description:
  - Writes a record of the operation to this node's disk, or removes it. While the record is there, no other
    operation begins.
  - The record has a lease of 60 seconds that every later task of the operation renews. A record whose lease has run
    out, or whose control process is known to be dead, was left over by an interruption, and the next operation takes
    its place.
  - The action of the same name fills in O(by), O(controller) and O(dead_controllers).
options:
  state:
    description: What to do with the record.
    type: str
    choices: [begun, ended]
    required: true
  id:
    description: What identifies the operation.
    type: str
    required: true
  kind:
    description: The operation's name.
    type: str
    default: operation
  target:
    description: The node that becomes primary, where one does. An interrupted operation is finished towards it.
    type: str
    default: ""
  by:
    description: Who runs it, and where.
    type: str
    default: unknown
  controller:
    description: Which process on which control node runs it.
    type: str
    default: ""
  patience:
    description: How many seconds to wait while this node rejoins by itself.
    version_added: 0.2.0
    type: int
    default: 0
  dead_controllers:
    description: Control processes that are known to have ended.
    type: list
    elements: str
    default: []
  announced:
    description:
      - Whether this node tells the cluster and the event hook that the operation begins, or how it has ended. It is in
        the node's journal in any case.
    type: bool
    default: false
  outcome:
    description: How it has ended, in one word, for the event C(operation_ended). Without it nothing is told.
    version_added: 0.2.0
    type: str
  reasons:
    description: Why it has ended so, as sentences.
    version_added: 0.2.0
    type: list
    elements: str
    default: []
  kept:
    description: The record stays when the operation ends, so that the next run finishes this one.
    version_added: 0.2.0
    type: bool
    default: false
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
- name: Begin
  duet.backup_ha.operation:
    state: begun
    id: "vault-{{ now(utc=true).timestamp() }}"
    kind: switchover

- name: End it, and tell how
  duet.backup_ha.operation:
    state: ended
    id: vault-1795361400.000
    kind: switchover
    outcome: done
    announced: true
"""

RETURN = r"""
left_over:
  description: The record of an interrupted operation whose place was taken.
  returned: when there was one
  type: dict
outcome:
  description: V(in_progress) when another operation is under way, else V(failed).
  returned: failure
  type: str
reasons:
  description: Why it failed, as sentences.
  returned: failure
  type: list
  elements: str
operation:
  description: The record of the operation that is under way, as M(duet.backup_ha.node_info) shows it.
  returned: when another one is under way
  type: dict
duration:
  description: How many seconds the module took.
  returned: success
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils import _operation
from ansible_collections.duet.backup_ha.plugins.module_utils._events import tell_end, tell_start, this_node
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module

ARGUMENTS = {
    "state": {"type": "str", "choices": ["begun", "ended"], "required": True},
    "id": {"type": "str", "required": True},
    "kind": {"type": "str", "default": "operation"},
    "target": {"type": "str", "default": ""},
    "by": {"type": "str", "default": "unknown"},
    "controller": {"type": "str", "default": ""},
    "patience": {"type": "int", "default": 0},
    "dead_controllers": {"type": "list", "elements": "str", "default": []},
    "announced": {"type": "bool", "default": False},
    "outcome": {"type": "str"},
    "reasons": {"type": "list", "elements": "str", "default": []},
    "kept": {"type": "bool", "default": False},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    wanted = module.params
    _operation.await_own_end(wanted["id"], wanted["patience"])
    previous = _operation.read_operation()
    ours = previous is not None and previous["id"] == wanted["id"]
    if wanted["state"] == "ended":
        if ours and not module.check_mode:
            end(wanted)
        return {"changed": ours and not wanted["kept"]}
    if module.check_mode:
        _operation.refuse_if_busy(previous, wanted["id"], wanted["dead_controllers"])
        return {"changed": not ours, "left_over": None if ours else previous}
    left = _operation.begin(
        wanted["id"], wanted["kind"], wanted["by"], wanted["controller"], wanted["dead_controllers"], wanted["target"]
    )
    if not ours:
        tell_start(this_node(), wanted, keep=wanted["announced"])
    return {"changed": not ours, "left_over": left}


def end(wanted: dict[str, Any]) -> None:
    if not wanted["kept"]:
        _operation.end(wanted["id"])
    if wanted["outcome"]:
        tell_end(
            this_node(), wanted["id"], wanted["kind"], wanted["outcome"], wanted["reasons"], keep=wanted["announced"]
        )


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
