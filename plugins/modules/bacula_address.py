#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bacula_address
short_description: Replace addresses that mean one node in a Bacula configuration
version_added: 0.1.0
description:
  - Looks at the C(Director) resources of a Bacula configuration, of the Director itself or of a console, and replaces
    an address that leads to loopback or to a node by another one.
  - For Bacula C(DirAddress) means IPv4 alone. With an IPv6 address it becomes C(DirAddresses), and C(DirPort), which
    must not stand beside that, becomes a part of it.
  - Nothing else in the files changes. An address that leads anywhere else stays, and so does a resource that
    has none.
  - Follows included files and changes the value where it is written.
options:
  directives:
    description: What to look at.
    version_added: 0.2.0
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The file that the Director or the console starts with. It is no error when it does not exist.
        type: path
        required: true
      keyword:
        description: The directive; letter case and blanks do not matter.
        type: str
        required: true
      address:
        description: The name or number to put in the place of a node's.
        type: str
        required: true
  nodes:
    description: Addresses of the nodes, as numbers. Loopback always counts as one of them.
    type: list
    elements: str
    default: []
  backup:
    description: Whether to keep a copy of each changed file beside it.
    type: bool
    default: true
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
attributes:
  diff_mode:
    support: full
    details: Shows the directives only, because the lines around them hold passwords.
author:
  - Duet contributors (@duet)
seealso:
  - module: duet.backup_ha.bacula_config_info
"""

EXAMPLES = r"""
- name: Let the Director listen on all addresses, and the console ask the cluster's endpoint
  duet.backup_ha.bacula_address:
    directives:
      - path: /etc/bacula/bacula-dir.conf
        keyword: DirAddress
        address: 0.0.0.0
      - path: /etc/bacula/bconsole.conf
        keyword: Address
        address: backup.example.org
    nodes: [192.0.2.11, 192.0.2.12]
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) replaced.
  returned: success
  type: list
  elements: dict
  contains:
    file:
      description: The file.
      type: str
    line:
      description: The line.
      type: int
    keyword:
      description: The directive.
      type: str
    before:
      description: The address that was there.
      type: str
    after:
      description: The address that takes its place.
      type: str
backups:
  description: The copies that were made.
  returned: success
  type: list
  elements: str
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

import ipaddress
import os
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._bacula import Configuration
from ansible_collections.duet.backup_ha.plugins.module_utils._bacula_config import (
    Edit,
    apply_edits,
    plan_edits,
    summary,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._bacula_files import load, read_text, resolve
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module

ARGUMENTS = {
    "directives": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path", "required": True},
            "keyword": {"type": "str", "required": True, "no_log": False},
            "address": {"type": "str", "required": True},
        },
    },
    "nodes": {"type": "list", "elements": "str", "default": []},
    "backup": {"type": "bool", "default": True},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    nodes = set(module.params["nodes"])
    edits = [edit for wanted in module.params["directives"] for edit in _plan(wanted, nodes)]
    printed = [f"{e.file}:{e.line} is printed by a command." for e in edits if e.file.startswith("|")]
    if printed:
        raise RefusedError("An address can't be changed:", printed)
    backups = [] if module.check_mode else [b for file in _files(edits) for b in _rewrite(module, file, edits)]
    return {
        "changed": bool(edits),
        "changes": [
            {"file": e.file, "line": e.line, "keyword": e.keyword, "before": e.before, "after": e.after} for e in edits
        ],
        "backups": backups,
        "diff": [
            {
                "before_header": f"{e.file}:{e.line}",
                "after_header": f"{e.file}:{e.line}",
                "before": f"{e.keyword} = {e.before}\n",
                "after": f"{e.directive}\n",
            }
            for e in edits
        ],
    }


def _plan(wanted: dict[str, str], nodes: set[str]) -> list[Edit]:
    configuration = load(wanted["path"]) or Configuration()
    return plan_edits(configuration, [wanted["keyword"]], wanted["address"], _leading_to(configuration, nodes))


def _leading_to(configuration: Configuration, nodes: set[str]) -> list[str]:
    """The addresses of Director resources, as written, that lead to loopback or to one of the nodes."""
    written = {a["address"] for director in summary(configuration)["directors"] for a in director["addresses"]}
    return [
        address
        for address in written
        if any(ipaddress.ip_address(r["address"]).is_loopback or r["address"] in nodes for r in resolve(address))
    ]


def _files(edits: list[Edit]) -> list[str]:
    return list(dict.fromkeys(edit.file for edit in edits))


def _rewrite(module: AnsibleModule, file: str, edits: list[Edit]) -> list[str]:
    """Replace the file atomically, with its owner and mode. Returns the copy's path, if one was to be made."""
    text = apply_edits(read_text(file), [edit for edit in edits if edit.file == file])
    backups = [module.backup_local(file)] if module.params["backup"] else []
    descriptor, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(text.encode("utf-8", "surrogateescape"))
    module.atomic_move(temporary, file)
    return backups


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="change_addresses")


if __name__ == "__main__":
    main()
