#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: clone
short_description: Make this node a copy of the primary and start it as a standby
version_added: 0.1.0
description:
  - Copies the primary with C(pg_basebackup) over TLS into a directory beside the old one, puts it in place when it is
    complete, starts it as a standby and waits until it streams.
  - A node that is a standby of the same primary already is left as it is.
  - The copy is a unit of its own, C(backup-ha-clone.service), and goes on when the control node is gone.
  - It writes its progress to C(/run/backup-ha/clone.json); the action of the same name shows it and waits for the end.
options:
  erase:
    description: Allow a data directory that holds other databases to be replaced.
    type: bool
    default: false
  timeout:
    description: How many seconds stopping, starting and the first contact may take. The copy itself is not limited.
    type: int
    default: 120
  background:
    description:
      - Only begin to copy, and return its C(job).
      - This is an option of the action of the same name.
    type: bool
    default: false
  job:
    description:
      - Wait for the copy that an earlier task began with O(background=true), and show how far it is.
      - This is an option of the action of the same name. When it is empty there was nothing to copy.
    type: str
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
"""

EXAMPLES = r"""
- name: Copy the primary
  duet.backup_ha.clone:

- name: Begin to copy the primary
  duet.backup_ha.clone:
    background: true
  register: copy

- name: Wait for the copy
  duet.backup_ha.clone:
    job: "{{ copy.job }}"
"""

RETURN = r"""
job:
  description: The copy's unit; empty when there is nothing to copy.
  returned: success
  type: str
steps:
  description: The steps that are (in check mode, would be) carried out.
  returned: success
  type: list
  elements: str
outcome:
  description: V(refused) when nothing was changed, else V(failed).
  returned: failure
  type: str
reasons:
  description: Why nothing was copied, as sentences. A copy that began and failed says it in C(msg).
  returned: failure
  type: list
  elements: str
duration:
  description: How many seconds the module took.
  returned: success, without O(job)
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._clone import UNIT, begin, plan
from ansible_collections.duet.backup_ha.plugins.module_utils._config import require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._system import unit_is_active

ARGUMENTS = {
    "erase": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 120},
    "background": {"type": "bool", "default": False},
    "job": {"type": "str"},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    erase = module.params["erase"]
    # One that an interrupted run began is in the middle of it: there is nothing to plan, only to wait.
    steps = ["copy"] if unit_is_active(UNIT) else plan(require_config(), erase)
    if steps and not module.check_mode:
        begin(erase, timeout=float(module.params["timeout"]))
    return {"changed": bool(steps), "steps": steps, "job": UNIT if steps and not module.check_mode else ""}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="copy")


if __name__ == "__main__":
    main()
