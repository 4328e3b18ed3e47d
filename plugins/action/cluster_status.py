# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge a cluster from what its nodes said, and show the verdict."""

from __future__ import annotations

import json
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.duet.backup_ha.plugins.module_utils._silence import is_silent
from ansible_collections.duet.backup_ha.plugins.module_utils._table import render
from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import HEALTHY, judge


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        clusters = self._task.args["clusters"]
        verdicts = {name: judge(name, nodes) for name, nodes in sorted(clusters.items())}
        known = {name: {n: {} if is_silent(o) else o for n, o in nodes.items()} for name, nodes in clusters.items()}
        document = [{**verdicts[name].as_dict(), "nodes": known[name]} for name in verdicts]
        if self._task.args.get("output", "table") == "json":
            text = json.dumps({"clusters": document}, indent=2, sort_keys=True)
        else:
            text = "\n\n".join(render(verdicts[name], known[name]) for name in verdicts)
        Display().display(text)
        bad = [f"{name} is {verdict.verdict}" for name, verdict in verdicts.items() if verdict.verdict != HEALTHY]
        result.update(changed=False, clusters=document, healthy=not bad, answer=", ".join(bad) or "all healthy")
        return result
