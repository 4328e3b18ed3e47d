#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover
short_description: Make the secondary the primary because the primary is gone
version_added: 0.2.0
description:
  - Run it on the secondary. It gathers evidence that the primary is gone, here and from the control node, judges it,
    estimates what would be lost, and promotes this node while it holds the lock that every promotion needs.
  - It refuses while anybody sees a writer, or something that could be one. A primary that is merely silent has to be
    fenced (see C(backup_ha_fence)), or O(primary_is_off) has to say that it is switched off.
  - In check mode it looks and judges, and changes nothing.
  - On a node that accepts writes already, it sees to it that the endpoint and the workload run.
  - The action of the same name fills in O(control) and O(who).
options:
  primary_is_off:
    description: Your word that the silent primary is switched off and stays off.
    type: bool
    default: false
  max_loss_bytes:
    description:
      - How many bytes of the primary's WAL may be missing here. Without it, the bound that the node role has written
        counts, else none in a synchronous cluster and 16 MiB in an asynchronous one.
    type: int
  primary:
    description: What M(duet.backup_ha.node_info) found on the old primary; empty when it did not answer.
    type: dict
    default: {}
  primary_address:
    description: The old primary's address, which the control node tries.
    type: str
    default: ""
  endpoint_address:
    description: The endpoint, which the control node tries.
    type: str
    default: ""
  port:
    description: PostgreSQL's port.
    type: int
    default: 5432
  control:
    description: What the control node reaches of the old primary and of the endpoint.
    type: dict
    default: {}
  operation:
    description: What identifies the operation in the history.
    type: str
    default: ""
  who:
    description: Who ran it, for the history.
    type: str
    default: unknown
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
seealso:
  - module: duet.backup_ha.handover
  - module: duet.backup_ha.promote
"""

EXAMPLES = r"""
- name: Take over
  duet.backup_ha.failover:
    primary: "{{ hostvars['node1'].observed.node | default({}) }}"
    primary_address: 192.0.2.11
    endpoint_address: 192.0.2.10
"""

RETURN = r"""
outcome:
  description: V(done), V(planned) (check mode), V(refused), V(failed) (not promoted) or V(in_doubt).
  returned: always
  type: str
said:
  description: What was found out about the primary and the loss, as sentences.
  returned: success
  type: list
  elements: str
refusals:
  description: In check mode, every reason why it would be refused.
  returned: check mode
  type: list
  elements: str
finding:
  description: What became of the primary. C(name) is V(answers), V(proven_down), V(unreachable) or V(not_ready) (this
    node can't take over); C(reasons) says by what it was seen.
  returned: when it was looked for
  type: dict
loss:
  description: What the old primary wrote and this node never got, as far as anybody can know.
  returned: when it was looked for
  type: dict
  contains:
    missing_bytes: {type: int, description: The bytes of WAL that are missing here; empty when nothing is known.}
    exact: {type: bool, description: "Whether exactly so many are missing, or at least so many."}
    heard: {type: float, description: "When the old primary was last heard of, in seconds since the epoch."}
    silent_s: {type: float, description: How many seconds ago that was.}
    synchronous: {type: bool, description: Whether its commits waited for this node.}
    limit_bytes: {type: int, description: How many bytes may be missing.}
evidence:
  description: What was seen, by vantage point.
  returned: when it was looked for
  type: dict
steps:
  description: The steps that were carried out, each with the seconds since the module began.
  returned: success
  type: list
  elements: dict
  sample: [{"step": "promoted", "at_s": 0.93}]
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

import signal
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig, require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._failover import describe
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._takeover import Order, look, take_over

ARGUMENTS = {
    "primary_is_off": {"type": "bool", "default": False},
    "max_loss_bytes": {"type": "int"},
    "primary": {"type": "dict", "default": {}},
    "primary_address": {"type": "str", "default": ""},
    "endpoint_address": {"type": "str", "default": ""},
    "port": {"type": "int", "default": 5432},
    "control": {"type": "dict", "default": {}},
    "operation": {"type": "str", "default": ""},
    "who": {"type": "str", "default": "unknown"},
}


def order_of(wanted: dict[str, Any]) -> Order:
    control = {**wanted["control"], "primary": wanted["primary"]} if wanted["control"] or wanted["primary"] else None
    return Order(wanted["primary_is_off"], wanted["max_loss_bytes"], control, wanted["operation"], wanted["who"])


def planned(config: NodeConfig, order: Order) -> dict[str, Any]:
    report = look(config, order)
    found = report.as_dict()
    return {"changed": not report.refusals, "outcome": "planned", "said": describe(report), **found}


def body(module: AnsibleModule) -> dict[str, Any]:
    config = require_config()
    order = order_of(module.params)
    if module.check_mode:
        return planned(config, order)
    # The control node may vanish in the middle; the takeover ends all the same.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    takeover = take_over(config, order)
    return {**takeover.as_dict(), "outcome": "done", "said": takeover.said(config.node)}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
