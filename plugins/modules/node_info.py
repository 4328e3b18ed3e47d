#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Read the state of one node of a cluster
version_added: 0.1.0
description:
  - Reads what is true on this node now. The role, the timeline, WAL positions, slots, senders and receiver, lag
    in bytes
    and seconds, services, the endpoint, versions and the operation under way.
  - Changes no data. Works on a server that is no node too, and on a node whose PostgreSQL is stopped.
options:
  jobs:
    description: Whether to ask the workload how many jobs it runs, which may take seconds.
    type: bool
    default: false
  measure_stop:
    description:
      - For how many seconds to measure what a stop of this primary would take; V(0) leaves it. It writes two
        checkpoints, which write earlier what has to be written anyway.
    type: int
    default: 0
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.reads
  - duet.backup_ha.attributes.node
seealso:
  - module: duet.backup_ha.server_info
"""

EXAMPLES = r"""
- name: Look at this node
  duet.backup_ha.node_info:
  register: node

- name: Say its role
  ansible.builtin.debug:
    msg: "{{ node.node.node }} is {{ node.node.role }} on timeline {{ node.node.postgresql.timeline }}"
"""

RETURN = r"""
node:
  description: What is true on this node.
  returned: success
  type: dict
  contains:
    node:
      description: The node's name in its cluster, or the host name of a server that is no node.
      type: str
      sample: node1
    assembled:
      description: Whether this server is a node of a cluster.
      type: bool
    cluster:
      description: The name of its cluster.
      type: str
      sample: vault
    role:
      description:
        - V(primary) accepts writes, V(secondary) is in recovery, V(stopped) has no server running,
          V(none) no PostgreSQL.
      type: str
      sample: primary
    time:
      description: The node's clock, in seconds since the epoch.
      type: float
    postgresql:
      description:
        - The server. C(running), C(accepting), C(in_recovery), C(timeline), C(lsn), C(replay_lsn), C(lag_bytes),
          C(replay_age_s), C(wal_bytes), C(senders), C(receiver), C(slots), C(archive), C(settings), C(version),
          C(system_identifier), and C(control) from the control file, which is there without a running server too.
      type: dict
    services:
      description: The primary target, the endpoint, PostgreSQL and the workload's units, each with C(active),
        C(sub), C(enabled).
      type: dict
    endpoint:
      description: The endpoint's C(address), and whether this node has it (C(held)).
      type: dict
    operation:
      description: The operation under way or left over, with its age in seconds.
      type: dict
    jobs:
      description: How many jobs the workload runs on this node; empty when it does not run here or does not say.
      type: int
    stop:
      description:
        - What was measured for O(measure_stop). C(flush_s) (both checkpoints) and C(checkpoint_s) (the second, which is
          empty when it did not end in time), C(archive_file_s) (how long archiving one WAL file takes) and
          C(workload_s) (the workload's last stop on this node).
      type: dict
    waits:
      description: Why a former primary stays read-only, while it asks whether it may go on.
      type: str
    versions:
      description: Versions of C(postgresql) and C(workload).
      type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._config import load_config
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._observe import observe_node
from ansible_collections.duet.backup_ha.plugins.module_utils._stop_measure import measure_stop

ARGUMENTS = {"jobs": {"type": "bool", "default": False}, "measure_stop": {"type": "int", "default": 0}}


def body(module: AnsibleModule) -> dict[str, Any]:
    config = load_config()
    node = observe_node(config, ask_jobs=module.params["jobs"])
    patience = module.params["measure_stop"]
    node["stop"] = measure_stop(config, node["role"] == "primary", patience) if config and patience else None
    return {"changed": False, "node": node}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
