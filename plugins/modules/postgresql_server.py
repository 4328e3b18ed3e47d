#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_server
short_description: Make PostgreSQL take up its configuration and hold what the cluster needs
version_added: 0.1.0
description:
  - Reloads the configuration and looks which settings still wait for a restart.
  - A restart of a node's PostgreSQL makes it a standby, so O(restart=true) is meant for a server that is no node yet.
  - With O(database=true) it then creates the cluster's own database and the roles and least rights that the other node
    and the proof from outside need.
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
  database:
    description: Whether to create database, roles and rights; for the primary.
    type: bool
    default: false
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
  - duet.backup_ha.attributes.node
"""

EXAMPLES = r"""
- name: Prepare the primary for a secondary
  duet.backup_ha.postgresql_server:
    version: "15"
    restart: true
    database: true
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
created:
  description: What was (in check mode, would be) created.
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

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Postgresql
from ansible_collections.duet.backup_ha.plugins.module_utils._database import ensure, missing
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._postgres import (
    Connection,
    connect_local,
    one,
    postmaster_pid,
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
    "database": {"type": "bool", "default": False},
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
    wanted = module.params
    server = find_server(wanted["version"], wanted["cluster"])
    pending: list[str] = []
    restarted = False
    # One that does not run reads them when it starts; a primary that does not run is refused by what comes next.
    if postmaster_pid(server) is not None and not module.check_mode:
        with connect_local(server) as connection:
            reload(connection)
            pending = [row["name"] for row in rows(connection, "SELECT name FROM pg_settings WHERE pending_restart")]
        restarted = bool(pending) and wanted["restart"]
        if restarted:
            restart(server)
    create = missing if module.check_mode else ensure
    created = create(server) if wanted["database"] else []
    return {"changed": restarted or bool(created), "pending": pending, "restarted": restarted, "created": created}


def restart(server: Postgresql) -> None:
    systemctl("stop", server.unit)
    start(server)
    wait_for_session(server, timeout=60).close()


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="prepare_postgresql")


if __name__ == "__main__":
    main()
