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
  - While it copies, it writes its progress to C(/run/backup-ha/clone.json); the action of the same name shows it.
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
  description: What names the copy that was begun; empty when there is nothing to copy.
  returned: with O(background=true)
  type: str
steps:
  description: The steps that were (in check mode, would be) carried out.
  returned: success
  type: list
  elements: str
"""

import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._clone import (
    clone,
    holds_user_data,
    observe_primary,
    one_at_a_time,
    plan_clone,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig, require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._observe import observe_node

ARGUMENTS = {
    "erase": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 120},
    "background": {"type": "bool", "default": False},
    "job": {"type": "str"},
}


def plan(config: NodeConfig, erase: bool) -> list[str]:
    observed = observe_node(config)
    directory = Path(config.postgresql.data_directory)
    control = observed["postgresql"]["control"] or {}
    local = {
        "role": observed["role"],
        "state": control.get("state"),
        "copied": (directory / "backup_label").exists(),
        "system_identifier": control.get("system_identifier"),
        "holds_data": holds_user_data(str(directory)),
        "free_bytes": shutil.disk_usage(directory.parent).free,
    }
    return plan_clone(local, observe_primary(config), erase)


def body(module: AnsibleModule) -> dict[str, Any]:
    config = require_config()
    if module.check_mode:
        steps = plan(config, module.params["erase"])
        return {"changed": bool(steps), "steps": steps, "outcome": "planned"}
    with one_at_a_time():
        steps = plan(config, module.params["erase"])
        if steps:
            clone(config, steps, timeout=float(module.params["timeout"]))
    return {"changed": bool(steps), "steps": steps, "outcome": "done"}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
