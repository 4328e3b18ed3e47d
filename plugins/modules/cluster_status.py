#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_status
short_description: Judge clusters from what their nodes said, and show the verdicts
version_added: 0.1.0
description:
  - Turns the observations of M(duet.backup_ha.node_info) into one verdict per cluster, with reasons and the
    next command.
  - Prints a table for people or one JSON document.
  - Runs on the control node as an action.
  - V(healthy) means that the primary serves and the secondary follows in step. V(degraded) means that it serves
    but something that protects it is missing or late. V(failed) means that nobody serves. V(split) means that
    both nodes accept writes. V(unassembled) means that the servers are no cluster yet. V(unknown) means that no node
    answered.
options:
  clusters:
    description: For each cluster's name, a dictionary of its nodes' names and observations; for a
      silent node C(silence), the C(msg) and C(unreachable) of the task that looked.
    type: dict
    required: true
  output:
    description: How to show the verdicts.
    type: str
    choices: [table, json]
    default: table
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.reads
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
- name: Show the verdict
  duet.backup_ha.cluster_status:
    clusters:
      vault:
        node1: "{{ hostvars.node1.observed.node }}"
        node2: "{{ hostvars.node2.observed.node }}"
"""

RETURN = r"""
healthy:
  description: Whether every cluster is healthy.
  returned: always
  type: bool
answer:
  description: Which clusters are not healthy, and what they are.
  returned: always
  type: str
clusters:
  description: The verdict on each cluster.
  returned: always
  type: list
  elements: dict
  contains:
    cluster: {type: str, description: The cluster's name.}
    verdict: {type: str, description: One of the words above.}
    primary: {type: str, description: The node that accepts writes; empty when there is none or more than one.}
    secondary: {type: str, description: The node that follows; empty when there is none.}
    reasons: {type: list, elements: str, description: "Why, as sentences, the most important first."}
    next: {type: str, description: The command or the look that comes next; empty when nothing does.}
    nodes: {type: dict, description: What M(duet.backup_ha.node_info) found on each node.}
"""
