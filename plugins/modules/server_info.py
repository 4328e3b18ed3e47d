#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: server_info
short_description: Survey a server before it becomes a node
version_added: 0.1.0
description:
  - Reads everything that the checks of an assembly compare. Platform, locales, addresses, name resolution, who
    answers for
    the endpoint's address, and what PostgreSQL is installed and holds.
  - Changes nothing. The endpoint is asked for with ARP probes, which do not disturb a machine that has the address.
options:
  names:
    description: Names that this server has to resolve.
    type: list
    elements: str
    default: []
  addresses:
    description: Addresses that this server has to resolve back to names.
    type: list
    elements: str
    default: []
  endpoint:
    description: The address of the cluster's endpoint.
    type: str
    required: true
  cluster:
    description: The name of the PostgreSQL cluster in Debian's sense.
    type: str
    default: main
  packages:
    description: Debian packages to look for.
    type: list
    elements: str
    default: []
  same_packages:
    description: Debian packages whose versions to read.
    type: list
    elements: str
    default: []
  secret_files:
    description: Files that hold passwords and must not be readable by everybody.
    type: list
    elements: str
    default: []
  settings:
    description: PostgreSQL's settings that the cluster will have, besides its own.
    type: dict
    default: {}
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.reads
author:
  - Duet contributors (@duet)
seealso:
  - module: duet.backup_ha.node_info
"""

EXAMPLES = r"""
- name: Survey the server
  duet.backup_ha.server_info:
    names: [backup.example.org]
    addresses: [192.0.2.10]
    endpoint: 192.0.2.10
  register: survey
"""

RETURN = r"""
server:
  description: What was found.
  returned: success
  type: dict
  contains:
    assembled:
      description: Whether this server is a node of a cluster already.
      type: bool
    missing_packages:
      description: Those of O(packages) that are not installed.
      type: list
      elements: str
    package_versions:
      description: Of each of O(same_packages), the installed version, else the one that would be installed.
      type: dict
      sample: {bacula-director: 9.6.7-7}
    architecture:
      description: The machine's architecture.
      type: str
      sample: x86_64
    glibc:
      description: Version of the C library, on which the order of text in indexes depends.
      type: str
      sample: "2.36"
    resolves:
      description: For each name, the addresses it leads to.
      type: dict
    reverse:
      description: For each address, the names it leads to.
      type: dict
    endpoint:
      description: The interface and prefix where the endpoint would live, whether it is C(held) here, and who
        else answers.
      type: dict
    postgresql:
      description: The installed and available versions and, in C(server), the cluster with its content and settings.
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._survey import survey

ARGUMENTS = {
    "names": {"type": "list", "elements": "str", "default": []},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "endpoint": {"type": "str", "required": True},
    "cluster": {"type": "str", "default": "main"},
    "settings": {"type": "dict", "default": {}},
    "packages": {"type": "list", "elements": "str", "default": []},
    "same_packages": {"type": "list", "elements": "str", "default": []},
    "secret_files": {"type": "list", "elements": "str", "default": [], "no_log": False},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    run_module(module, lambda m: {"changed": False, "server": survey(**m.params)})


if __name__ == "__main__":
    main()
