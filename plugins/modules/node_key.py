#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_key
short_description: Make this node's private key, and ask for a certificate when it needs one
version_added: 0.1.0
description:
  - Makes the key that PostgreSQL and the node's own tools use, where it is used. It never leaves the node.
  - Returns a signing request, and why a new certificate is needed when the present one is not good.
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
keeps_authority:
  description: Whether this node keeps the key of the cluster's certificate authority.
  returned: success
  type: bool
problem:
  description: Why a new certificate is needed.
  returned: when one is
  type: str
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
    problem = tls.certificate_problem(tls.TLS_DIRECTORY, names) if key.exists() else "it has none"
    authority = (tls.CA_DIRECTORY / "ca.key").exists()
    state = {"subject_names": names, "problem": problem, "keeps_authority": authority}
    if module.check_mode:
        return {**state, "changed": bool(problem), "request": ""}
    made = tls.ensure_key(key, "postgres")
    # Also for a good certificate: when the other machine took the authority with it, a new one signs both.
    return {**state, "changed": made, "request": tls.signing_request(key)}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="make_key")


if __name__ == "__main__":
    main()
