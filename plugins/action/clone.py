# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Begin the copy on the node, show how far it is and wait for its end."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.duet.backup_ha.plugins.module_utils._lsn import format_bytes

PAUSE_S = 0.3
SHOWN_EVERY_S = 2.0
# Asked in one round trip without Python: a copy may take a second or a day.
LOOK = "systemctl is-active {job}; cat /run/backup-ha/clone.json 2>/dev/null || true"


def progress_line(node: str, done: int, total: int, elapsed: float) -> str:
    """What a person wants to know while a copy runs.

    >>> progress_line("node2", 256 * 2**20, 2**30, 2.0)
    'node2: copied 256.0 MiB of 1.0 GiB (25 %), about 6 s left'
    """
    share = min(1.0, done / total) if total else 0.0
    left = f", about {elapsed * (1 - share) / share:.0f} s left" if 0 < share < 1 else ""
    return f"{node}: copied {format_bytes(done)} of {format_bytes(total)} ({share:.0%}){left}".replace("%)", " %)")


def read_look(said: str) -> tuple[bool, dict[str, Any]]:
    """Whether the unit runs, and what it reported last.

    >>> read_look('active\\n{"state": "copying"}')
    (True, {'state': 'copying'})
    >>> read_look("inactive\\n")
    (False, {})
    """
    state, _newline, report = said.partition("\n")
    return state.strip() in ("active", "activating"), json.loads(report) if report.strip() else {}


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        background, job = boolean(arguments.pop("background", False)), arguments.pop("job", None)
        if job is None:
            begun = self._execute_module(module_args=arguments, task_vars=variables)
            if begun.get("failed") or background or not begun.get("job"):
                return {**result, **begun}
            job = begun["job"]
        return {**result, **(self._await_end(job, variables) if job else {"changed": False})}

    def _await_end(self, job: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        node, began, shown = str(task_vars.get("inventory_hostname")), time.monotonic(), 0.0
        runs = True
        while True:
            ran, (runs, report) = runs, self._look(job)
            if report.get("state") == "done":
                return {"changed": True, "steps": report["steps"], "job": job}
            if report.get("state") == "failed":
                return {"failed": True, "msg": report["message"], "job": job}
            if not (ran or runs):
                return {"failed": True, "msg": f"The copy ended without a word; journalctl -u {job} may say why."}
            elapsed = time.monotonic() - began
            if report and elapsed - shown >= SHOWN_EVERY_S:
                shown = elapsed
                Display().display(progress_line(node, report["done_bytes"], report["total_bytes"], elapsed))
            time.sleep(PAUSE_S)

    def _look(self, job: str) -> tuple[bool, dict[str, Any]]:
        return read_look(self._low_level_execute_command(LOOK.format(job=shlex.quote(job))).get("stdout") or "")
