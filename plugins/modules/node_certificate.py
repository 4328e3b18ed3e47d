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
  - Runs on the node that keeps the cluster's certificate authority, and makes the authority when there is none.
  - The authority's key is readable by root only and never leaves the node.
options:
  cluster:
    description: The cluster's name, which becomes part of the authority's name.
    type: str
    required: true
  requests:
    description: For each node's name, what M(duet.backup_ha.node_key) returned there.
    type: dict
    required: true
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
author:
  - Duet contributors (@duet)
seealso:
  - module: duet.backup_ha.node_key
"""

EXAMPLES = r"""
- name: Sign
  duet.backup_ha.node_certificate:
    cluster: vault
    requests:
      node1: "{{ hostvars.node1.key }}"
"""

RETURN = r"""
authority:
  description: The authority's certificate, as PEM text.
  returned: success
  type: str
certificates:
  description: For each node that needs one, its new certificate as PEM text.
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
from ansible_collections.duet.backup_ha.plugins.module_utils import _certificates as tls
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module

ARGUMENTS = {"cluster": {"type": "str", "required": True}, "requests": {"type": "dict", "required": True}}


def body(module: AnsibleModule) -> dict[str, Any]:
    requests = module.params["requests"]
    if module.check_mode:
        return {"changed": any(wish["problem"] for wish in requests.values()), "authority": "", "certificates": {}}
    made = tls.ensure_authority(module.params["cluster"])
    signed = {
        node: tls.sign(wish["request"], wish["subject_names"])
        for node, wish in requests.items()
        if made or wish["problem"]
    }
    return {"changed": made or bool(signed), "authority": tls.read_authority(), "certificates": signed}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="sign_certificates")


if __name__ == "__main__":
    main()
