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
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
"""

EXAMPLES = r"""
- name: Copy the primary
  duet.backup_ha.clone:
"""

RETURN = r"""
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
    plan_clone,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._config import require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._observe import observe_node

ARGUMENTS = {"erase": {"type": "bool", "default": False}, "timeout": {"type": "int", "default": 120}}


def body(module: AnsibleModule) -> dict[str, Any]:
    config = require_config()
    observed = observe_node(config)
    directory = Path(config.postgresql.data_directory)
    control = observed["postgresql"]["control"]
    local = {
        "role": observed["role"],
        "system_identifier": control and control["system_identifier"],
        "holds_data": holds_user_data(str(directory)),
        "free_bytes": shutil.disk_usage(directory.parent).free,
    }
    steps = plan_clone(local, observe_primary(config), module.params["erase"])
    if steps and not module.check_mode:
        clone(config, steps, timeout=float(module.params["timeout"]))
    return {"changed": bool(steps), "steps": steps, "outcome": "planned" if module.check_mode else "done"}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
