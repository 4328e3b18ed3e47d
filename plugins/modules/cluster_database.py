#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_database
short_description: Create the roles, rights and tables that the cluster needs
version_added: 0.1.0
description:
  - Creates, on the primary, the replication role with the least rights that replication, handover and
    C(pg_rewind) need,
    the role for the proof from outside, and the database C(backup_ha) with its tables.
  - No role gets a stored password. The replication role is known by its certificate.
options:
  version:
    description: PostgreSQL's major version.
    type: str
    required: true
  cluster:
    description: The name of the PostgreSQL cluster in Debian's sense.
    type: str
    default: main
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
"""

EXAMPLES = r"""
- name: Create what the cluster needs
  duet.backup_ha.cluster_database:
    version: "15"
"""

RETURN = r"""
created:
  description: What was (in check mode, would be) created.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._database import ensure, missing
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._survey import find_server

ARGUMENTS = {"version": {"type": "str", "required": True}, "cluster": {"type": "str", "default": "main"}}


def body(module: AnsibleModule) -> dict[str, Any]:
    server = find_server(module.params["version"], module.params["cluster"])
    created = missing(server) if module.check_mode else ensure(server)
    return {"changed": bool(created), "created": created}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
