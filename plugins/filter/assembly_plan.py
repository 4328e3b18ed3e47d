# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.duet.backup_ha.plugins.module_utils._preflight import (
    Server,
    Wanted,
    membership_refusals,
    refusals,
    restarts,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._primary_choice import choose_primary, may_erase

DOCUMENTATION = r"""
name: assembly_plan
short_description: Decide which server becomes the primary, and whether the two may be paired
version_added: 0.1.0
description:
  - Compares what M(duet.backup_ha.server_info) found on both servers. Changes nothing.
  - Returns C(primary), C(secondary), C(refusals) (sentences; none when the servers may be paired), C(restarts) (the
    settings for which an existing primary is restarted once) and C(erase) (whether the secondary's databases may be
    erased).
positional: cluster
options:
  _input:
    description: For each server C(name), C(address), C(found), C(clock_offset_s) and C(clock_error_s).
    type: list
    elements: dict
    required: true
  cluster:
    description: The name of the cluster's inventory group.
    type: str
    required: true
  wanted:
    description:
      - C(endpoint_address), C(endpoint_name), C(initial_primary), C(erase_secondary) and C(maximum_clock_difference_s).
    type: dict
    required: true
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
plan: "{{ servers | duet.backup_ha.assembly_plan('vault', wanted={'endpoint_address': '192.0.2.10'}) }}"
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
"""


def assembly_plan(servers: list[dict[str, Any]], cluster: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Plain data in, plain data out; the decisions are in module_utils/_preflight.py and _primary_choice.py."""
    plan: dict[str, Any] = {"primary": None, "secondary": None, "refusals": [], "restarts": [], "erase": False}
    plan["refusals"] = membership_refusals(cluster, [server["name"] for server in servers])
    if plan["refusals"]:
        return plan
    try:
        known = [Server(**server) for server in servers]
        wish = replace(Wanted(endpoint_address=""), **wanted)
    except TypeError as error:
        raise AnsibleFilterError(f"assembly_plan: {error}") from error
    primary, plan["refusals"] = choose_primary(known, wish)
    if primary is None:
        return plan
    first, second = sorted(known, key=lambda server: server.name != primary)
    plan.update(primary=first.name, secondary=second.name)
    plan["refusals"] = refusals(first, second, wish)
    plan["restarts"] = restarts(first)
    plan["erase"] = may_erase(first, second, wish)
    return plan


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"assembly_plan": assembly_plan}
