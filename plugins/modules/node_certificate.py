#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_certificate
short_description: Sign the nodes' certificates with the cluster's own authority
version_added: 0.1.0
description:
  - Runs on a node that keeps the cluster's certificate authority, and makes one when it is told to.
  - The authority's key is readable by root only. It leaves the node only for the other one, and in a form that nobody
    but that node can open.
options:
  cluster:
    description: The cluster's name, which becomes part of the authority's name.
    type: str
    required: true
  make:
    description: Whether to make a new authority first.
    version_added: 0.2.0
    type: bool
    default: false
  requests:
    description: For each node's name, what M(duet.backup_ha.node_key) returned there.
    type: dict
    required: true
  sign:
    description: For each node that gets a certificate, which authority signs it; V(new) is the one that is made.
    version_added: 0.2.0
    type: dict
    default: {}
  copy:
    description: The nodes that get a copy of the newest authority.
    version_added: 0.2.0
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
attributes:
  idempotent:
    support: none
author:
  - Duet contributors (@duet)
seealso:
  - module: duet.backup_ha.node_key
  - module: duet.backup_ha.node_tls
"""

EXAMPLES = r"""
- name: Sign
  duet.backup_ha.node_certificate:
    cluster: vault
    make: true
    requests:
      node1: "{{ hostvars.node1.key }}"
    sign:
      node1: new
"""

RETURN = r"""
authority:
  description: The newest authority's certificate, as PEM text; empty in check mode.
  returned: success
  type: str
certificates:
  description: For each node that gets one, its new certificate as PEM text, with what leads to the authority before.
  returned: success
  type: dict
copies:
  description: For each node that gets one, the copy of the newest authority, readable by that node only.
  returned: success
  type: dict
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
from ansible_collections.duet.backup_ha.plugins.module_utils import _authority
from ansible_collections.duet.backup_ha.plugins.module_utils._certificate_plan import NEW
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._pem import describe

ARGUMENTS = {
    "cluster": {"type": "str", "required": True},
    "make": {"type": "bool", "default": False},
    "requests": {"type": "dict", "required": True},
    "sign": {"type": "dict", "default": {}},
    "copy": {"type": "list", "elements": "str", "default": []},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    wanted = module.params
    if module.check_mode:
        return {"changed": wanted["make"] or bool(wanted["sign"]), "authority": "", "certificates": {}, "copies": {}}
    made = _authority.make(wanted["cluster"]) if wanted["make"] else None
    newest = made or max(_authority.kept(), key=lambda authority: describe(authority.pem).since)
    certificates, copies = {}, {}
    for node, by in wanted["sign"].items():
        wish = wanted["requests"][node]
        authority = newest if by == NEW else _authority.find(by)
        certificates[node] = _authority.sign(authority, wish["request"], wish["subject_names"])
    for node in wanted["copy"]:
        copies[node] = _authority.seal(newest, certificates.get(node) or wanted["requests"][node]["certificate"])
    changed = made is not None or bool(certificates)
    return {"changed": changed, "authority": newest.pem, "certificates": certificates, "copies": copies}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="sign_certificates")


if __name__ == "__main__":
    main()
