#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_ticket
short_description: Ask the workload whether it works, and issue a password for one proof from outside
version_added: 0.1.0
description:
  - On the primary, runs the workload's own probe. Then gives the role C(backup_ha_probe) a random password that is
    good for two minutes and stored nowhere.
  - M(duet.backup_ha.endpoint_probe) uses it from the control node. Register the result with C(no_log).
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
attributes:
  idempotent:
    support: none
    details: Every call issues a new password, and always reports that nothing changed, because nothing lasting did.
"""

EXAMPLES = r"""
- name: Issue a ticket
  duet.backup_ha.endpoint_ticket:
  register: ticket
  no_log: true
"""

RETURN = r"""
password:
  description: The password.
  returned: success, outside check mode
  type: str
ca_certificate:
  description: The certificate of the cluster's own authority, which the endpoint's server has to be proven by.
  returned: success, outside check mode
  type: str
workload:
  description: What is wrong with the workload, as a sentence; empty when it works or has no probe.
  returned: success, outside check mode
  type: str
waiting:
  description: Sentences while no commit is acknowledged, because the secondary is away; what is wrong with the workload
    is said here then.
  returned: success, outside check mode
  type: str
port:
  description: The port of the primary's PostgreSQL.
  returned: success, outside check mode
  type: int
timeline:
  description: The timeline that this writer is on.
  returned: success, outside check mode
  type: int
outcome:
  description: V(refused) when nothing was changed, else V(failed).
  returned: failure
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
from ansible_collections.duet.backup_ha.plugins.module_utils._config import TLS_DIRECTORY, require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._database import issue_ticket
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._postgres import connect_local
from ansible_collections.duet.backup_ha.plugins.module_utils._protection import describe_waiting
from ansible_collections.duet.backup_ha.plugins.module_utils._workload import ask_workload


def body(module: AnsibleModule) -> dict[str, Any]:
    config = require_config()
    if module.check_mode:
        return {"changed": False}
    certificate = (TLS_DIRECTORY / "ca.crt").read_text(encoding="ascii")
    problem = ask_workload(config)
    with connect_local(config.postgresql) as connection:
        waiting = describe_waiting(config, connection)
    return {
        "changed": False,
        "ca_certificate": certificate,
        # A backup server whose commits wait does not work, and that is as it was wanted.
        "workload": "" if waiting else problem,
        "waiting": f"{waiting} {problem}".strip() if waiting else "",
        "port": config.postgresql.port,
        **issue_ticket(config.postgresql),
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec={}, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
