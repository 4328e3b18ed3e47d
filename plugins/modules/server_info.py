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
    answers for the endpoint's address, and what PostgreSQL is installed and holds.
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
    assembled: {type: bool, description: Whether this server is a node of a cluster already.}
    missing_packages: {type: list, elements: str, description: Those of O(packages) that are not installed.}
    package_versions: {type: dict, sample: {bacula-director: 9.6.7-7}, description: "Of each of O(same_packages), the
      installed version, else the one that would be installed."}
    hostname: {type: str, sample: backup1, description: The server's own name.}
    architecture: {type: str, sample: x86_64, description: The machine's architecture.}
    system: {type: str, sample: Debian GNU/Linux 12 (bookworm), description: The operating system.}
    glibc: {type: str, sample: "2.36", description: "Version of the C library, on which the order of text in indexes
      depends."}
    icu: {type: str, sample: "72.1", description: "Version of ICU, on which the order of text depends in databases
      that use it; empty without it."}
    locales: {type: list, elements: str, description: "The locales that are there, by C(locale -a)."}
    python: {type: str, sample: 3.11.2, description: Version of Python.}
    interfaces:
      description: Every network interface but loopback.
      type: list
      elements: dict
      contains:
        name: {type: str, sample: eth0, description: Its name.}
        mac: {type: str, description: Its hardware address.}
        addresses: {type: list, elements: str, sample: [192.0.2.11/24], description: Its addresses with their
          prefixes.}
    resolves: {type: dict, description: "For each of O(names), the addresses it leads to."}
    reverse: {type: dict, description: "For each of O(addresses), the names it leads to."}
    endpoint:
      description: Where the endpoint would live.
      type: dict
      contains:
        interface: {type: str, description: The interface with the endpoint's subnet; empty when there is none.}
        prefix: {type: int, description: The length of that subnet's prefix.}
        held: {type: bool, description: Whether this server has the address.}
        answered_by: {type: str, description: The hardware address of who else answers for it; empty when nobody
          does.}
    postgresql:
      description: What PostgreSQL is installed and holds.
      type: dict
      contains:
        installed: {type: list, elements: str, sample: ["15"], description: The major versions that are installed.}
        available: {type: str, description: The major version that Debian would install; empty when one is
          installed.}
        clusters: {type: list, elements: str, description: The major versions that have a cluster of that name.}
        half_made: {type: list, elements: str, description: Directories of a cluster whose creation or removal was
          interrupted.}
        free_bytes: {type: int, description: "The free space where PostgreSQL's data lies, in bytes."}
        total_bytes: {type: int, description: "The size of the file system that WAL is written to, in bytes."}
        server:
          description: The newest cluster of that name, if any. Sizes, databases and settings need a running server.
          type: dict
          contains:
            version: {type: str, sample: "15", description: Its major version.}
            cluster: {type: str, sample: main, description: Its name in Debian's sense.}
            port: {type: int, description: Its port.}
            data_directory: {type: str, description: Where its data is.}
            exists: {type: bool, description: Whether there is data.}
            running: {type: bool, description: Whether it runs.}
            role: {type: str, description: "V(primary), V(secondary) (it is a standby) or V(stopped)."}
            holds_data: {type: bool, description: Whether it holds more than a new cluster does.}
            member:
              description: Whether that is the data of a cluster of this collection, whatever its role is now.
              type: bool
            system_identifier: {type: str, description: What a server and its copies have in common.}
            problem: {type: str, description: Why it could not be examined.}
            size_bytes: {type: int, description: "The size of all databases, in bytes."}
            databases: {type: list, elements: dict, description: "Each database with its C(name), C(collate) and
              C(ctype)."}
            tablespaces: {type: list, elements: str, description: The tablespaces besides PostgreSQL's own.}
            settings: {type: dict, description: "The settings that the two servers are compared by, as text."}
            restarts: {type: list, elements: str, description: "What the cluster changes in it that needs a restart,
              as C(name = value)."}
            refused_settings: {type: list, elements: str, description: "Those of O(settings) that PostgreSQL does not
              accept, with its words."}
            overrides: {type: list, elements: str, description: "Those of the settings that a cluster manages that
              C(ALTER SYSTEM) has set, which wins."}
    secret_files: {type: dict, description: "The permission bits, as a number, of each of O(secret_files) that
      exists."}
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
