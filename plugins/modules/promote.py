#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: promote
short_description: Make this node the primary when the other one grants it
version_added: 0.1.0
description:
  - Asks the other node over an authenticated connection. When that one is in recovery and not ahead, this node is
    promoted while a lock is held on both, takes the endpoint and starts the workload.
  - Only a node that was primary when it stopped is promoted, or any with O(alone=true); in a planned exchange use
    M(duet.backup_ha.handover).
  - On a node that accepts writes already, it sees to it that the endpoint and the workload run.
  - In check mode it asks the other node once, and fails with the reason when this node would not be promoted.
options:
  alone:
    description:
      - Your word that the other node is not primary and will not come back as one, for instance because it is
        switched off.
      - It counts only when the other node does not answer.
    type: bool
    default: false
  patience:
    description: For how many seconds to go on asking.
    type: int
    default: 10
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
seealso:
  - module: duet.backup_ha.demote
"""

EXAMPLES = r"""
- name: Go on as primary after a restart
  duet.backup_ha.promote:
"""

RETURN = r"""
before:
  description: The node's role before.
  returned: success
  type: str
  sample: secondary
after:
  description: The node's role after.
  returned: success
  type: str
  sample: primary
outcome:
  description: V(done), V(planned) in check mode, V(refused) (nothing was changed) or V(failed).
  returned: always
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
from ansible_collections.duet.backup_ha.plugins.module_utils._config import PRIMARY_TARGET, NodeConfig, require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._observe import observe_node
from ansible_collections.duet.backup_ha.plugins.module_utils._resume import rehearse, resume

ARGUMENTS = {
    "alone": {"type": "bool", "default": False},
    "patience": {"type": "int", "default": 10},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    config = require_config()
    observed = observe_node(config)
    before = observed["role"]
    serving = before == "primary" and observed["services"][PRIMARY_TARGET]["active"] == "active"
    why = "" if serving else refusal(config, module)
    if why:
        raise RefusedError("This node does not become primary:", [f"{why}."])
    word = "planned" if module.check_mode else "done"
    return {"changed": not serving, "before": before, "after": "primary", "outcome": word}


def refusal(config: NodeConfig, module: AnsibleModule) -> str:
    """Why this node does not become primary; empty when it has, or in check mode would."""
    if module.check_mode:
        decision, why = rehearse(config, module.params["alone"])
        return "" if decision in ("serve", "promote") else why
    answer = resume(config, patience=module.params["patience"], alone=module.params["alone"])
    if answer == "follows":
        return "the other node is primary, or this one was not"
    return "" if answer == "promoted" else answer


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="promote")


if __name__ == "__main__":
    main()
