# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell the node who runs the operation, and which control processes are known to be dead."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.duet.backup_ha.plugins.module_utils._operation import identity_of_process, is_dead


def controller_identity() -> str:
    """This ansible-playbook; the worker's parent runs the play."""
    return identity_of_process(os.getppid())


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        ours = controller_identity()
        arguments = {
            **self._task.args,
            "by": f"{getpass.getuser()}@{socket.gethostname()}",
            "controller": ours,
        }
        answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        record = answer.get("operation")
        if answer.get("failed") and record and is_dead(record.get("controller", "")):
            arguments["dead_controllers"] = [record["controller"]]
            answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        result.update(answer)
        return result
