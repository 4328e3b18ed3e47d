#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_probe
short_description: Prove from outside that the endpoint leads to the primary
version_added: 0.1.0
description:
  - Connects to the cluster's endpoint over verified TLS, writes a row, and compares the timeline and the system
    identifier
    with those of the node that claims to be the primary.
  - Run it on the control node (C(delegate_to=localhost)); it needs C(psycopg) there.
options:
  address:
    description: The endpoint's address.
    type: str
    required: true
  port:
    description: PostgreSQL's port.
    type: int
    default: 5432
  user:
    description: The role to connect as.
    type: str
    default: backup_ha_probe
  password:
    description: The password that M(duet.backup_ha.endpoint_ticket) issued.
    type: str
    required: true
  timeline:
    description: The timeline that the primary said it is on.
    type: int
    required: true
  ca_certificate:
    description: The cluster's CA certificate, as PEM text.
    type: str
    required: true
  timeout:
    description: For how many seconds to go on trying.
    type: int
    default: 10
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
attributes:
  idempotent:
    support: none
    details: The row is written each time; nothing else depends on it, so the module reports no change.
requirements:
  - psycopg 3.1 or later
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
- name: Prove it
  duet.backup_ha.endpoint_probe:
    address: 192.0.2.10
    password: "{{ ticket.password }}"
    timeline: "{{ ticket.timeline }}"
    ca_certificate: "{{ ca.content | b64decode }}"
  delegate_to: localhost
"""

RETURN = r"""
timeline:
  description: The timeline on which the row was written.
  returned: success
  type: int
attempts:
  description: How many attempts it took.
  returned: success
  type: int
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._probe import probe_endpoint

ARGUMENTS = {
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 5432},
    "user": {"type": "str", "default": "backup_ha_probe"},
    "password": {"type": "str", "required": True, "no_log": True},
    "timeline": {"type": "int", "required": True},
    "ca_certificate": {"type": "str", "required": True},
    "timeout": {"type": "int", "default": 10},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    return {"changed": False} if module.check_mode else {"changed": False, **probe_endpoint(**module.params)}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
