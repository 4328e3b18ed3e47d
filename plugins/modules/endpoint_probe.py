#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_probe
short_description: Prove from outside that the endpoint leads to the primary, and that the workload works
version_added: 0.1.0
description:
  - Run it on the node that claims to be the primary. The control node gets a password from there
    (M(duet.backup_ha.endpoint_ticket)), connects to the cluster's endpoint over verified TLS, writes a row, and
    compares the timeline with that of the node. Before that the node runs the workload's own probe.
  - Runs on the control node as an action. The password is in no variable and no result.
options:
  address:
    description: The endpoint's address.
    type: str
    required: true
  port:
    description: PostgreSQL's port. Without it, the node's own.
    type: int
  timeout:
    description: For how many seconds to go on trying.
    type: int
    default: 10
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
attributes:
  idempotent:
    support: none
    details: The row is written each time; nothing else depends on it, so the module reports no change.
requirements:
  - psycopg 3.1 or later on the control node
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
- name: Prove it
  duet.backup_ha.endpoint_probe:
    address: 192.0.2.10
  when: inventory_hostname == new_primary
"""

RETURN = r"""
timeline:
  description: The timeline on which the row was written.
  returned: success, outside check mode
  type: int
attempts:
  description: How many attempts it took.
  returned: success, outside check mode
  type: int
waiting:
  description: Sentences while no commit is acknowledged, because the secondary is away.
  returned: success, outside check mode
  type: str
outcome:
  description: V(refused) when nothing was changed, else V(failed).
  returned: failure
  type: str
reasons:
  description: Why it failed, as sentences.
  returned: failure
  type: list
  elements: str
"""
