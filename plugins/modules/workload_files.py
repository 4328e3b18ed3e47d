#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_files
short_description: Replicate the workload's configuration files through the database
version_added: 0.1.0
description:
  - With O(state=captured) on the primary, stores the workload's files in the database C(backup_ha), so that they
    travel in the same stream as everything else. The nodes' agents do the same all the time.
  - With O(state=applied) on the secondary, waits until that has arrived, and brings the file system to it. A file that
    is replaced or removed is put aside below C(/var/lib/backup-ha/replaced) first, unless the stream's history holds
    that version.
options:
  state:
    description: What to do.
    type: str
    choices: [captured, applied]
    required: true
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
attributes:
  diff_mode:
    support: partial
    details: Names the paths. The contents may hold secrets and are never shown.
"""

EXAMPLES = r"""
- name: Capture the configuration on the primary
  duet.backup_ha.workload_files:
    state: captured

- name: Apply it on the secondary
  duet.backup_ha.workload_files:
    state: applied
"""

RETURN = r"""
written:
  description: Paths that were (in check mode, would be) captured or written.
  returned: success
  type: list
  elements: str
removed:
  description: Paths that were (in check mode, would be) removed.
  returned: success
  type: list
  elements: str
kept:
  description: Where replaced files were put aside.
  returned: when files were replaced
  type: str
problems:
  description: What can't be replicated, and why, as sentences.
  returned: success
  type: list
  elements: str
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
from ansible_collections.duet.backup_ha.plugins.module_utils import _file_sync
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig, require_config
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._postgres import (
    Connection,
    SessionError,
    await_replay_of,
    connect_cluster_database,
    connect_peer,
    one,
)

ARGUMENTS = {
    "state": {"type": "str", "choices": ["captured", "applied"], "required": True},
}


def body(module: AnsibleModule) -> dict[str, Any]:
    config = require_config()
    step = captured if module.params["state"] == "captured" else applied
    with _file_sync.files_locked(), connect_cluster_database(config.postgresql) as connection:
        result = step(module, config, connection)
    paths = {"before": "", "after": "".join(f"{path}\n" for path in result["written"])}
    return {**result, "changed": bool(result["written"] or result["removed"]), "diff": paths}


def captured(module: AnsibleModule, config: NodeConfig, connection: Connection) -> dict[str, Any]:
    done = _file_sync.lead(config, connection, check=module.check_mode)
    return {"written": done.written, "removed": done.removed, "problems": _problems(done)}


def applied(module: AnsibleModule, config: NodeConfig, connection: Connection) -> dict[str, Any]:
    written = position_of_primary(config)
    if written:
        await_replay_of(connection, written, timeout=30)
    done = _file_sync.follow(config, connection, check=module.check_mode)
    return {
        "written": done.written,
        "removed": done.removed,
        "kept": str(done.aside) if done.aside else None,
        "problems": _problems(done),
    }


def position_of_primary(config: NodeConfig) -> str | None:
    """None when the other node does not answer or is no primary: then what has arrived has to do."""
    try:
        with connect_peer(config) as peer:
            position: str = one(peer, "SELECT pg_current_wal_lsn()::text")
            return position
    except (UnreachableError, SessionError):
        return None


def _problems(done: _file_sync.Done) -> list[str]:
    return [*done.problems.values(), *done.failed.values()]


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    run_module(module, body, step="capture_files" if module.params["state"] == "captured" else "apply_files")


if __name__ == "__main__":
    main()
