#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: handover
short_description: Exchange the roles of the two nodes
version_added: 0.1.0
description:
  - The critical section of a switchover. Run it on both nodes in one task, with O(side=give) on the primary and
    O(side=take) on the secondary. The two calls meet through PostgreSQL; the control node is not needed once both
    have begun.
  - The giving node stops the workload and PostgreSQL, proves that the stop was clean, waits until the other node has
    replayed the last record, and promotes it. Then it starts again and follows.
  - The receiving node takes the endpoint the moment it accepts writes, and starts the workload.
  - Until the promotion is requested, every failure puts the giving node back as the primary.
  - Run again after an interruption, it carries out the steps that are left.
  - In check mode it looks at this node, and to give at the other one, and returns the steps that are left.
options:
  side:
    description: What this node does.
    type: str
    choices: [give, take]
    required: true
  timeout:
    description: For how many seconds there may be no primary before the role is taken back.
    type: int
    default: 30
  deadline:
    description:
      - How many seconds are left for everything. What comes before the stop, the checkpoints and the workload's stop,
        is abandoned when it takes longer than the stop and the promotion leave of it; the giving node serves on.
    version_added: 0.2.0
    type: float
    default: 300
  archive_file_s:
    description:
      - How long archiving one WAL file took when M(duet.backup_ha.node_info) measured it, in seconds. The checkpoints
        since then have removed what tells it.
    version_added: 0.2.0
    type: float
  on_foreign_streamers:
    description:
      - What others that stream WAL from the giving node mean. With V(end) their sessions are ended just before the
        stop, which would wait for them. They may come back later.
    version_added: 0.2.0
    type: str
    choices: [abort, end]
    default: abort
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
seealso:
  - module: duet.backup_ha.promote
  - module: duet.backup_ha.demote
"""

EXAMPLES = r"""
- name: Exchange the roles
  duet.backup_ha.handover:
    side: "{{ 'give' if inventory_hostname == old_primary else 'take' }}"
"""

RETURN = r"""
plan:
  description: In check mode, the steps that would be carried out.
  returned: check mode
  type: list
  elements: str
steps:
  description: The steps that were carried out, each with the seconds since the module began.
  returned: success
  type: list
  elements: dict
  sample: [{"step": "stop_primary", "at_s": 0.31}]
forecast:
  description:
    - How long the stop was expected to take (C(stop_s)) and nobody to write (C(without_writer_s)), in seconds, with its
      parts. It is measured again by the checkpoints before the stop.
  returned: when the giving node came so far
  type: dict
  sample: {"stop_s": 0.09, "without_writer_s": 0.19, "checkpoint_s": 0.04, "archive_files": 0}
took:
  description: How many seconds the same took, and before it the checkpoints and the workload's stop.
  returned: when the giving node came so far
  type: dict
  sample: {"checkpoints_s": 0.1, "workload_s": 0.2, "stop_s": 0.06, "without_writer_s": 0.11}
said:
  description: What was expected and what came, as a sentence; empty where nothing had to be stopped.
  returned: success
  type: str
ended_streams:
  description: Who streamed WAL from the giving node and was ended.
  returned: success
  type: list
  elements: str
outcome:
  description:
    - V(done), V(refused) (nothing changed), V(rolled_back) (the old primary serves as before), V(failed) (not done, the
      roles are what they were), V(in_doubt), or V(planned) in check mode.
  returned: always
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

import signal
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig, require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._forecast import compare
from ansible_collections.duet.backup_ha.plugins.module_utils._handover import give, local_role
from ansible_collections.duet.backup_ha.plugins.module_utils._handover_plan import plan_give
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._operation import kept_alive
from ansible_collections.duet.backup_ha.plugins.module_utils._postgres import (
    connect_local,
    connect_peer,
    control_data,
    in_recovery,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._prelude import Terms
from ansible_collections.duet.backup_ha.plugins.module_utils._take import take

ARGUMENTS = {
    "side": {"type": "str", "choices": ["give", "take"], "required": True},
    "timeout": {"type": "int", "default": 30},
    "deadline": {"type": "float", "default": 300.0},
    "archive_file_s": {"type": "float"},
    "on_foreign_streamers": {"type": "str", "choices": ["abort", "end"], "default": "abort"},
}
TAKE_STEPS = ["await_promotion", "take_endpoint", "start_primary_target"]


def terms_of(wanted: dict[str, Any]) -> Terms:
    end_streams = wanted["on_foreign_streamers"] == "end"
    return Terms(float(wanted["timeout"]), float(wanted["deadline"]), end_streams, wanted["archive_file_s"])


def plan_to_give(config: NodeConfig) -> list[str]:
    with connect_peer(config) as peer:
        return plan_give(local_role(config), control_data(config.postgresql).state, in_recovery(peer))


def plan_to_take(config: NodeConfig) -> list[str]:
    with connect_local(config.postgresql) as connection:
        return TAKE_STEPS if in_recovery(connection) else TAKE_STEPS[1:]


def body(module: AnsibleModule) -> dict[str, Any]:
    side: str = module.params["side"]
    config = require_config()
    if module.check_mode:
        steps = plan_to_give(config) if side == "give" else plan_to_take(config)
        return {"changed": bool(steps), "plan": steps, "outcome": "planned"}
    # The control node may vanish in the middle; the handover ends all the same.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with kept_alive():
        progress = give(config, terms_of(module.params)) if side == "give" else take(config)
    return {
        "changed": bool(progress.steps),
        "steps": progress.steps,
        "forecast": progress.forecast,
        "took": progress.took,
        "said": compare(progress.forecast, progress.took),
        "ended_streams": progress.ended,
        "outcome": "done",
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
