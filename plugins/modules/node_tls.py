#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_tls
short_description: Put the node's certificate and the authorities that it trusts in place
version_added: 0.2.0
description:
  - Writes them, and lets a running PostgreSQL take them up by a reload, which ends no session and no streaming. Waits
    until the server shows the new certificate.
  - Keeps a copy of the cluster's authority when it gets one, and removes the keys of authorities that are trusted no
    more.
options:
  authorities:
    description: The certificates of all authorities to trust, as PEM text. In check mode one may be empty, a new one.
    type: list
    elements: str
    required: true
  certificate:
    description: The node's new certificate, as PEM text; empty to leave it as it is.
    type: str
    default: ""
  key:
    description: The private key of a certificate of the user's own, as PEM text; empty where the node's key stays.
    type: str
    default: ""
  renewed:
    description: Whether there is a new certificate, for check mode, where nobody has signed it.
    type: bool
    default: false
  copy:
    description: A copy of the cluster's authority, as M(duet.backup_ha.node_certificate) made it for this node.
    type: dict
    default: {}
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
attributes:
  diff_mode:
    support: full
    description: Shows whom the node trusts and what its certificate says, never a key.
author:
  - Duet contributors (@duet)
seealso:
  - module: duet.backup_ha.node_key
  - module: duet.backup_ha.node_certificate
"""

EXAMPLES = r"""
- name: Trust a new authority beside the present one
  duet.backup_ha.node_tls:
    authorities: ["{{ new }}", "{{ present }}"]
"""

RETURN = r"""
reloaded:
  description: Whether PostgreSQL was reloaded; one that does not run reads the files when it starts.
  returned: success
  type: bool
outcome:
  description: V(failed).
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
from ansible_collections.duet.backup_ha.plugins.module_utils import _authority, _pem
from ansible_collections.duet.backup_ha.plugins.module_utils import _certificates as tls
from ansible_collections.duet.backup_ha.plugins.module_utils._config import load_config
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._take_up import take_up

ARGUMENTS = {
    "authorities": {"type": "list", "elements": "str", "required": True},
    "certificate": {"type": "str", "default": ""},
    "key": {"type": "str", "default": "", "no_log": True},
    "renewed": {"type": "bool", "default": False},
    # Sealed for this node: what is in it can be shown.
    "copy": {"type": "dict", "default": {}},
}


def shown(certificates: list[str], authorities: list[str], keeps: list[str]) -> str:
    """What a person wants to know of them."""
    lines = [_pem.summary("certificate", pem) for pem in certificates[:1]]
    lines += [_pem.summary("trusts", pem) for pem in authorities]
    lines += [_pem.summary("keeps the key of", pem) for pem in keeps]
    return "".join(f"{line}\n" for line in lines)


def body(module: AnsibleModule) -> dict[str, Any]:
    wanted = module.params
    own, trusted = _pem.read_all(tls.TLS_DIRECTORY / "node.crt"), _pem.read_all(tls.TLS_DIRECTORY / "ca.crt")
    authorities = [_pem.split(pem)[0] for pem in wanted["authorities"] if pem]
    keeps = [authority.pem for authority in _authority.kept()]
    keeps_after = [pem for pem in keeps if _pem.identity(pem) in map(_pem.identity, authorities)]
    if wanted["copy"]:
        keeps_after.append(_pem.split(wanted["copy"]["certificate"])[0])
    new = _pem.split(wanted["certificate"])
    text = shown(new or own, authorities, keeps_after)
    if wanted["renewed"] and not new:
        text = "certificate: a new one\n" + shown([], authorities, keeps_after)
    if not all(wanted["authorities"]):
        text += "trusts: a new authority\n"
    diff = {"before_header": "TLS", "after_header": "TLS", "before": shown(own, trusted, keeps), "after": text}
    changed = diff["before"] != diff["after"] or wanted["renewed"] or tls.PENDING.exists()
    reloaded = changed and not module.check_mode and put(wanted, authorities)
    return {"changed": changed, "diff": diff, "reloaded": reloaded}


def put(wanted: dict[str, Any], authorities: list[str]) -> bool:
    """Put everything in place. True when PostgreSQL was reloaded."""
    if wanted["copy"]:
        _authority.keep(wanted["copy"], tls.TLS_DIRECTORY / "node.key")
    tls.install(wanted["certificate"], authorities, wanted["key"])
    config = load_config()
    reloaded = config is not None and take_up(config)
    tls.taken_up()
    _authority.forget_but(authorities)
    return reloaded


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="put_certificates")


if __name__ == "__main__":
    main()
