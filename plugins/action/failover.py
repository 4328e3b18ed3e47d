# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Add what the control node itself reaches of the old primary, and who runs the failover."""

from __future__ import annotations

import getpass
import socket
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.duet.backup_ha.plugins.module_utils._evidence import ask_from_control_node


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        wanted = self._task.args
        arguments = {**wanted, "who": f"{getpass.getuser()}@{socket.gethostname()}"}
        if wanted.get("primary_address") and wanted.get("endpoint_address"):
            arguments["control"] = ask_from_control_node(
                wanted["primary_address"], wanted["endpoint_address"], int(wanted.get("port", 5432))
            )
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        return result
