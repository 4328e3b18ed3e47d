# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the copy in the background of the node and show how far it is."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.duet.backup_ha.plugins.module_utils._lsn import format_bytes

LIMIT_S = 7 * 24 * 3600
FIRST_PAUSE_S, PAUSE_S = 0.5, 1.5


def progress_line(node: str, done: int, total: int, elapsed: float) -> str:
    """What a person wants to know while a copy runs.

    >>> progress_line("node2", 256 * 2**20, 2**30, 2.0)
    'node2: copied 256.0 MiB of 1.0 GiB (25 %), about 6 s left'
    """
    share = min(1.0, done / total) if total else 0.0
    left = f", about {elapsed * (1 - share) / share:.0f} s left" if 0 < share < 1 else ""
    return f"{node}: copied {format_bytes(done)} of {format_bytes(total)} ({share:.0%}){left}".replace("%)", " %)")


class ActionModule(ActionBase):
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        background, job = boolean(arguments.pop("background", False)), arguments.pop("job", None)
        if job is not None:
            return {**result, **(self._watch(job, variables) if job else {"changed": False})}
        planned = self._execute_in_check_mode(arguments, variables)
        if self._task.check_mode or planned.get("failed") or not planned.get("steps"):
            return {**result, **planned, "job": ""}
        started = self._start(arguments, variables)
        if started.get("failed") or background:
            return {**result, **started}
        return {**result, **self._watch(started["job"], variables)}

    def _execute_in_check_mode(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Learn what there is to do, and fail early, without the cost of a background task."""
        before, self._task.check_mode = self._task.check_mode, True
        try:
            planned: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
            return planned
        finally:
            self._task.check_mode = before

    def _start(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        before, self._task.async_val = self._task.async_val, LIMIT_S
        try:
            started = self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=True)
        finally:
            self._task.async_val = before
        if started.get("failed"):
            return dict(started)
        return {"changed": True, "job": str(started["ansible_job_id"])}

    def _watch(self, job: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        began, pause = time.monotonic(), FIRST_PAUSE_S
        while True:
            status = self._ask("status", job, task_vars)
            if status.get("finished") or status.get("failed"):
                self._ask("cleanup", job, task_vars)
                return {key: value for key, value in status.items() if key not in ("ansible_job_id", "started")}
            self._show(str(task_vars.get("inventory_hostname")), time.monotonic() - began)
            time.sleep(pause)
            pause = PAUSE_S

    def _ask(self, mode: str, job: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        directory = self.get_shell_option("async_dir", default="~/.ansible_async")
        arguments = {"jid": job, "mode": mode, "_async_dir": directory}
        answer: dict[str, Any] = self._execute_module(
            "ansible.legacy.async_status", module_args=arguments, task_vars=task_vars
        )
        return answer

    def _show(self, node: str, elapsed: float) -> None:
        said = self._low_level_execute_command("cat /run/backup-ha/clone.json 2>/dev/null || true")
        try:
            progress = json.loads(said.get("stdout") or "")
        except ValueError:
            return
        Display().display(progress_line(node, progress["done_bytes"], progress["total_bytes"], elapsed))
