# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure the difference between a server's clock and the control node's."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase

ATTEMPTS = 3


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return offset_s (server minus control node) and error_s (half of the shortest round trip)."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        readings = [self._read() for _attempt in range(ATTEMPTS)]
        usable = [reading for reading in readings if reading]
        if not usable:
            return {**result, "failed": True, "msg": "The command 'date +%s.%N' gave no time on this server."}
        error, offset = min(usable)
        return {**result, "changed": False, "offset_s": offset, "error_s": error}

    def _read(self) -> tuple[float, float] | None:
        before = time.time()
        said = self._low_level_execute_command("date +%s.%N", sudoable=False)
        after = time.time()
        try:
            there = float(said.get("stdout", "").strip())
        except ValueError:
            return None
        return (after - before) / 2, there - (before + after) / 2
