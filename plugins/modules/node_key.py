#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_key
short_description: Make this node's private key, and tell which certificates the node has
version_added: 0.1.0
description:
  - Makes the key that PostgreSQL and the node's own tools use, where it is used. It never leaves the node.
  - Returns a signing request, and what the plan for certificates has to know. Nothing of it is secret.
options:
  names:
    description: The names under which this node is reached, the endpoint's included.
    type: list
    elements: str
    default: []
  addresses:
    description: The addresses under which this node is reached, the endpoint's included.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
author:
  - Duet contributors (@duet)
seealso:
  - module: duet.backup_ha.node_certificate
  - module: duet.backup_ha.node_tls
"""

EXAMPLES = r"""
- name: Make the key
  duet.backup_ha.node_key:
    names: [node1.example.org, backup.example.org]
    addresses: [192.0.2.11, 192.0.2.10]
  register: key
"""

RETURN = r"""
request:
  description: The signing request, as PEM text; empty in check mode.
  returned: success
  type: str
subject_names:
  description: The alternative names that the certificate has to have, in openssl's notation.
  returned: success
  type: str
problem:
  description: Why a new certificate is needed; empty when the present one is good.
  returned: success
  type: str
certificate:
  description: The present certificate, as PEM text; empty when there is none.
  returned: success
  type: str
issuer:
  description: Which of the authorities that this node trusts signed it; empty when none did or it can't be used.
  returned: success
  type: str
trusts:
  description: The authorities that this node trusts.
  returned: success
  type: list
  elements: str
keeps:
  description: The authorities whose keys this node keeps.
  returned: success
  type: list
  elements: str
authorities:
  description: For each of them C(pem), and C(since) and C(until) in epoch seconds.
  returned: success
  type: dict
taken_up:
  description: Whether PostgreSQL uses what is there, as far as this was done by M(duet.backup_ha.node_tls).
  returned: success
  type: bool
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
from ansible_collections.duet.backup_ha.plugins.module_utils import _certificates as tls
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module

ARGUMENTS = {
    "names": {"type": "list", "elements": "str", "default": []},
    "addresses": {"type": "list", "elements": "str", "required": True},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    names = tls.subject_names(module.params["names"], module.params["addresses"])
    key = tls.TLS_DIRECTORY / "node.key"
    if module.check_mode:
        return {**tls.held(names), "changed": not key.exists(), "subject_names": names, "request": ""}
    made = tls.ensure_key(key)
    # Also for a good certificate: it may get a new one all the same.
    return {**tls.held(names), "changed": made, "subject_names": names, "request": tls.signing_request(key)}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="make_key")


if __name__ == "__main__":
    main()
