#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bacula_config_info
short_description: Read a Bacula Director's configuration
version_added: 0.1.0
description:
  - Returns the directors, storages, clients and catalogs that a Bacula configuration names, each with file and line,
    and the addresses that their names lead to from this host.
  - Reads the language as Bacula does, with its quotes, comments, blanks within keywords, and included files.
  - Parts of a configuration that a command prints (C(@|command)) are read by running that command as the user
    C(bacula), which is what the Director does at each start.
  - Never returns a password.
options:
  path:
    description: The file that the Director starts with. It is no error when it does not exist.
    type: path
    default: /etc/bacula/bacula-dir.conf
  nodes:
    description:
      - The nodes of a cluster by name, each with its address as a number.
      - When it is set, V(refusals) says what in the configuration would not work in that cluster.
    type: dict
    default: {}
  endpoint:
    description: The address of the cluster's endpoint, as a number.
    type: str
    default: ""
  allow_local_repository:
    description: Whether a storage daemon may live on a node of the cluster.
    type: bool
    default: false
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.reads
author:
  - Duet contributors (@duet)
notes:
  - It does not judge whether Bacula accepts the configuration; C(bacula-dir -t) does.
seealso:
  - module: duet.backup_ha.bacula_address
"""

EXAMPLES = r"""
- name: Read the Director's configuration
  duet.backup_ha.bacula_config_info:
  register: bacula

- name: List the storage daemons
  ansible.builtin.debug:
    msg: "{{ bacula.storages | map(attribute='name') }}"

- name: Find repositories on cluster nodes
  duet.backup_ha.bacula_config_info:
    nodes:
      node1: 192.0.2.11
      node2: 192.0.2.12
    endpoint: 192.0.2.10
  register: bacula
  failed_when: bacula.refusals | length > 0
"""

RETURN = r"""
exists:
  description: Whether there is a configuration.
  returned: success
  type: bool
files:
  description: All files that were read, in the order in which Bacula reads them.
  returned: success
  type: list
  elements: str
  sample: [/etc/bacula/bacula-dir.conf, /etc/bacula/clients.d/web.conf]
problems:
  description: What could not be read. The rest was read all the same.
  returned: success
  type: list
  elements: dict
  contains:
    file:
      description: The file, or the command after a C(|), that has the problem.
      type: str
    line:
      description: The line, counted from 1; 0 when the file as a whole could not be read.
      type: int
    message:
      description: The problem.
      type: str
directors:
  description: The C(Director) resources.
  returned: success
  type: list
  elements: dict
  contains: &resource
    kind:
      description: The resource's kind as it is written.
      type: str
    name:
      description: The resource's name.
      type: str
    file:
      description: Where the resource begins.
      type: str
    line:
      description: The line where it begins.
      type: int
    addresses:
      description: All addresses that the resource has.
      type: list
      elements: dict
      contains:
        keyword:
          description: The keyword as it is written, without blanks.
          type: str
        address:
          description: The name or number as it is written.
          type: str
        file:
          description: The file that has it.
          type: str
        line:
          description: The line that has it.
          type: int
        resolved:
          description: What it leads to from this host. Empty for a name that does not resolve.
          type: list
          elements: dict
          contains:
            address:
              description: An address as a number.
              type: str
            local:
              description: Whether this host has it now.
              type: bool
storages:
  description: The C(Storage) and C(Autochanger) resources.
  returned: success
  type: list
  elements: dict
  contains:
    <<: *resource
    example:
      description: Whether it is one of the two that Debian's example configuration comes with.
      type: bool
  sample:
    - kind: Storage
      name: File
      file: /etc/bacula/bacula-dir.conf
      line: 120
      example: false
      addresses:
        - keyword: Address
          address: repository.example.org
          file: /etc/bacula/bacula-dir.conf
          line: 122
          resolved:
            - address: 192.0.2.20
              local: false
clients:
  description: The C(Client) resources.
  returned: success
  type: list
  elements: dict
  contains: *resource
catalogs:
  description: The C(Catalog) resources.
  returned: success
  type: list
  elements: dict
  contains:
    <<: *resource
    database:
      description: The database's name.
      type: str
    socket:
      description: The socket's directory, when one is set.
      type: str
refusals:
  description: What would not work in the cluster, each a sentence. Empty without O(nodes).
  returned: success
  type: list
  elements: str
  sample:
    - >-
      Storage 'File' has Address = localhost in /etc/bacula/bacula-dir.conf:122, which is the node itself; a
      repository
      on a node is out of reach when the node is. Move it to another host, or set backup_ha_allow_local_repository.
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
from ansible_collections.duet.backup_ha.plugins.module_utils._bacula_config import Cluster, refusals
from ansible_collections.duet.backup_ha.plugins.module_utils._bacula_files import inspect
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module

ARGUMENTS = {
    "path": {"type": "path", "default": "/etc/bacula/bacula-dir.conf"},
    "nodes": {"type": "dict", "default": {}},
    "endpoint": {"type": "str", "default": ""},
    "allow_local_repository": {"type": "bool", "default": False},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    wanted = module.params
    found = inspect(wanted["path"])
    cluster = Cluster(wanted["nodes"], wanted["endpoint"])
    reasons = refusals(found, cluster, wanted["allow_local_repository"]) if cluster.nodes else []
    return {"changed": False, "refusals": reasons, **found}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
