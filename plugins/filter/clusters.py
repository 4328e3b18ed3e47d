# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible import context
from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: clusters
short_description: The inventory group that a playbook runs on
version_added: 0.1.0
description:
  - Fails where Ansible would only warn that no host matches, and succeed.
positional: wanted
options:
  _input:
    description: The hosts of every group of the inventory, by name, as in the variable C(groups).
    type: dict
    required: true
  wanted:
    description: The name of one cluster, which is its group's. Empty for all clusters, the group V(backup_ha).
    type: str
    default: ""
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
- name: Show the state of clusters
  hosts: "{{ groups | duet.backup_ha.clusters(backup_ha_cluster | default('')) }}"
"""

RETURN = r"""
_value:
  description: The name of the group.
  type: str
"""

ALL = "backup_ha"
ANSIBLE_S_OWN = ("all", "ungrouped", ALL)


def clusters(groups: dict[str, list[str]], wanted: str = "") -> str:
    """The group's name; AnsibleFilterError when it has no host."""
    # A check of the playbook's syntax has no inventory.
    if groups.get(wanted or ALL) or context.CLIARGS.get("syntax"):
        return wanted or ALL
    if not wanted:
        raise AnsibleFilterError(
            f"No host is in the inventory's group {ALL}. Give your inventory with -i, and put the groups of your "
            f"clusters under {ALL}, or name one of them: -e backup_ha_cluster=NAME."
        )
    others = sorted(name for name, hosts in groups.items() if hosts and name not in ANSIBLE_S_OWN)
    raise AnsibleFilterError(
        f"No host is in a group {wanted} of the inventory; its groups with hosts are: {', '.join(others) or 'none'}. "
        "backup_ha_cluster is the name of the cluster's group."
    )


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        return {"clusters": clusters}
