#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rejoin
short_description: Make a former primary follow the other node
version_added: 0.2.0
description:
  - Run it on the node that is not the primary, after the other one has become primary without it.
  - What only this node has, a fork, is kept first, its WAL and a readable summary in a folder below
    C(/var/lib/backup-ha/forks). Then C(pg_rewind) undoes it, and the node starts as a standby.
  - Where a rewind is not possible or was interrupted, the node becomes a fresh copy of the primary.
  - A node without a fork only has to be started. One that streams is left as it is.
options:
  discard_fork:
    description: Allow what only this node has to be lost where it can't be kept.
    type: bool
    default: false
  timeout:
    description: How many seconds stopping, starting and the first contact may take. Copying is not limited.
    type: int
    default: 120
  operation:
    description: The identity of the operation that this call belongs to. Any other one under way is not disturbed.
    type: str
    default: ""
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
seealso:
  - module: duet.backup_ha.clone
  - module: duet.backup_ha.demote
"""

EXAMPLES = r"""
- name: Follow the new primary
  duet.backup_ha.rejoin:
"""

RETURN = r"""
steps:
  description: The steps that were (in check mode, would be) carried out.
  returned: success
  type: list
  elements: str
  sample: [keep_fork, prepare_primary, stop, rewind, start, await_streaming]
took:
  description: When each step ended, in seconds since the plan was made.
  returned: success
  type: list
  elements: dict
  sample: [{"step": "rewind", "at_s": 4.12}]
fork:
  description: The folder in which the fork was kept; empty when there was none.
  returned: success
  type: str
said:
  description: The same in sentences.
  returned: success
  type: list
  elements: str
outcome:
  description: V(done), V(planned) (check mode), V(refused) (nothing changed) or V(failed) (running it again goes on).
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
from ansible_collections.duet.backup_ha.plugins.module_utils._config import require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._rejoin import rejoin
from ansible_collections.duet.backup_ha.plugins.module_utils._rejoin_outcome import report

ARGUMENTS = {
    "discard_fork": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 120},
    "operation": {"type": "str", "default": ""},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    config = require_config()
    # The control node may vanish in the middle; the rewind ends all the same.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    outcome = rejoin(
        config,
        float(module.params["timeout"]),
        module.params["discard_fork"],
        module.check_mode,
        module.params["operation"],
    )
    return {
        "changed": outcome.changed,
        "steps": outcome.steps,
        "took": outcome.took,
        "fork": outcome.fork,
        "said": report(config, outcome, module.check_mode),
        "outcome": "planned" if module.check_mode else "done",
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
