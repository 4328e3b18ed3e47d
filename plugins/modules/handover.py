#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: handover
short_description: Exchange the roles of the two nodes
version_added: 0.1.0
description:
  - The critical section of a switchover. Run it on both nodes in one task, with O(side=give) on the primary and
    O(side=take) on the secondary. The two calls meet through PostgreSQL; the control node is not needed once both
    have begun.
  - The giving node stops the workload and PostgreSQL, proves that the stop was clean, waits until the other node has
    replayed the last record, and promotes it. Then it starts again and follows.
  - The receiving node takes the endpoint the moment it accepts writes, and starts the workload.
  - Until the promotion is requested, every failure puts the giving node back as the primary.
  - Run again after an interruption, it carries out the steps that are left.
options:
  side:
    description: What this node does.
    type: str
    choices: [give, take]
    required: true
  timeout:
    description: For how many seconds there may be no primary before the role is taken back.
    type: int
    default: 30
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
seealso:
  - module: duet.backup_ha.promote
  - module: duet.backup_ha.demote
"""

EXAMPLES = r"""
- name: Exchange the roles
  duet.backup_ha.handover:
    side: "{{ 'give' if inventory_hostname == old_primary else 'take' }}"
"""

RETURN = r"""
plan:
  description: In check mode, the steps that would be carried out.
  returned: check mode
  type: list
  elements: str
steps:
  description: The steps that were carried out, each with the seconds since the module began.
  returned: success
  type: list
  elements: dict
  sample: [{"step": "stop_primary", "at_s": 0.31}]
outcome:
  description: V(done), V(refused) (nothing changed), V(failed) (the old primary serves again) or V(in_doubt).
  returned: always
  type: str
"""

import signal
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._config import require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._handover import GIVE_STEPS, give
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._take import take

ARGUMENTS = {
    "side": {"type": "str", "choices": ["give", "take"], "required": True},
    "timeout": {"type": "int", "default": 30},
}
TAKE_STEPS = ["await_promotion", "take_endpoint", "start_primary_target"]


def body(module: AnsibleModule) -> dict[str, Any]:
    side: str = module.params["side"]
    config = require_config()
    if module.check_mode:
        return {"changed": True, "plan": list(GIVE_STEPS) if side == "give" else TAKE_STEPS, "outcome": "planned"}
    # The control node may vanish in the middle; the handover ends all the same.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    progress = give(config, float(module.params["timeout"])) if side == "give" else take(config)
    return {"changed": bool(progress.steps), "steps": progress.steps, "outcome": "done"}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
