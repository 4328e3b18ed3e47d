#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: demote
short_description: Make this node a standby
version_added: 0.1.0
description:
  - Stops the workload, gives the endpoint back, stops PostgreSQL and starts it again, which makes it a standby.
  - Promotes nobody. Afterwards the cluster has no primary until the other node is promoted.
options:
  timeout:
    description: How many seconds PostgreSQL may take to stop.
    type: int
    default: 60
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
seealso:
  - module: duet.backup_ha.promote
  - module: duet.backup_ha.handover
"""

EXAMPLES = r"""
- name: Stop accepting writes on this node
  duet.backup_ha.demote:
"""

RETURN = r"""
before:
  description: The node's role before.
  returned: success
  type: str
after:
  description: The node's role after.
  returned: success
  type: str
steps:
  description: The steps that were (in check mode, would be) carried out.
  returned: success
  type: list
  elements: str
outcome:
  description: V(done), V(planned) in check mode, or V(failed).
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
from ansible_collections.duet.backup_ha.plugins.module_utils._config import require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._observe import observe_node
from ansible_collections.duet.backup_ha.plugins.module_utils._promotion import demote_here, demotion_plan

ARGUMENTS = {"timeout": {"type": "int", "default": 60}}


def body(module: AnsibleModule) -> dict[str, Any]:
    config = require_config()
    observed = observe_node(config)
    steps = demotion_plan(observed)
    if not module.check_mode:
        demote_here(config, steps, timeout=float(module.params["timeout"]))
    return {
        "changed": bool(steps),
        "before": observed["role"],
        "after": "secondary",
        "steps": steps,
        "outcome": "planned" if module.check_mode else "done",
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="demote")


if __name__ == "__main__":
    main()
