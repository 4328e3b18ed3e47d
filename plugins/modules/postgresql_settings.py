#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_settings
short_description: Make PostgreSQL read its configuration, with a restart when that is needed and allowed
version_added: 0.1.0
description:
  - Reloads the configuration and looks which settings still wait for a restart.
  - A restart of a node's PostgreSQL makes it a standby, so O(restart=true) is meant for a server that is no node yet.
options:
  version:
    description: PostgreSQL's major version.
    type: str
    required: true
  cluster:
    description: The name of the PostgreSQL cluster in Debian's sense.
    type: str
    default: main
  restart:
    description: Whether to restart when settings wait for it.
    type: bool
    default: false
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
"""

EXAMPLES = r"""
- name: Apply the settings
  duet.backup_ha.postgresql_settings:
    version: "15"
    restart: true
"""

RETURN = r"""
pending:
  description: Settings that waited for a restart after the configuration was read again.
  returned: success
  type: list
  elements: str
restarted:
  description: Whether PostgreSQL was restarted.
  returned: success
  type: bool
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._postgres import (
    Connection,
    connect_local,
    one,
    rows,
    start,
    wait_for_session,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._survey import find_server
from ansible_collections.duet.backup_ha.plugins.module_utils._system import systemctl

ARGUMENTS = {
    "version": {"type": "str", "required": True},
    "cluster": {"type": "str", "default": "main"},
    "restart": {"type": "bool", "default": False},
}


def reload(connection: Connection) -> None:
    """Ask for a reload and wait until it has happened."""
    before = one(connection, "SELECT pg_conf_load_time()")
    connection.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + 10
    while one(connection, "SELECT pg_conf_load_time()") == before and time.monotonic() < deadline:
        time.sleep(0.02)
    wrong = rows(connection, "SELECT sourcefile, sourceline, error FROM pg_file_settings WHERE error IS NOT NULL")
    errors = [row for row in wrong if row["error"] != "setting could not be applied"]
    if errors:
        raise BackupHaError(
            "PostgreSQL does not accept its configuration: "
            + "; ".join(f"{e['sourcefile']}:{e['sourceline']}: {e['error']}" for e in errors)
        )


def body(module: AnsibleModule) -> dict[str, Any]:
    if module.check_mode:
        return {"changed": False, "pending": [], "restarted": False}
    server = find_server(module.params["version"], module.params["cluster"])
    with connect_local(server) as connection:
        reload(connection)
        pending = [row["name"] for row in rows(connection, "SELECT name FROM pg_settings WHERE pending_restart")]
    restart = bool(pending) and module.params["restart"]
    if restart:
        systemctl("stop", server.unit)
        start(server)
        wait_for_session(server, timeout=60).close()
    return {"changed": restart, "pending": pending, "restarted": restart}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
