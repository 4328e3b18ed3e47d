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


def controller_identity() -> str:
    """Host, boot and process of this ansible-playbook; the worker's parent runs the play."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        boot = stream.read().strip()
    return f"{socket.gethostname()}:{boot}:{os.getppid()}"


def is_dead(controller: str, ours: str) -> bool:
    """A process of this host and this boot that no longer exists; of other hosts we can't know."""
    host, _colon, process = controller.rpartition(":")
    if host != ours.rpartition(":")[0] or not process.isdigit():
        return False
    return not os.path.exists(f"/proc/{process}")


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
        if answer.get("failed") and record and is_dead(record.get("controller", ""), ours):
            arguments["dead_controllers"] = [record["controller"]]
            answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        result.update(answer)
        return result
