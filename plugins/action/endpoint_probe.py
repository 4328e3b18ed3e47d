# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Get a ticket from the primary, which asks its workload first, and write through the endpoint with it.

The password never leaves this process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._probe import probe_endpoint

TICKET_MODULE = "duet.backup_ha.endpoint_ticket"


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, wanted = self.validate_argument_spec(
            argument_spec={
                "address": {"type": "str", "required": True},
                "port": {"type": "int"},
                "timeout": {"type": "int", "default": 10},
            }
        )
        with self._unseen():
            ticket = self._execute_module(module_name=TICKET_MODULE, module_args={}, task_vars=task_vars)
        if ticket.get("failed") or self._task.check_mode:
            return {**result, **ticket}
        try:
            found = probe_endpoint(
                **{**wanted, "port": wanted["port"] or ticket["port"]},
                password=ticket["password"],
                timeline=ticket["timeline"],
                ca_certificate=ticket["ca_certificate"],
            )
        except BackupHaError as error:
            return {**result, **_failure(str(error))}
        if ticket["workload"]:
            return {**result, **found, **_failure(ticket["workload"])}
        return {**result, "changed": False, "waiting": ticket["waiting"], **found}

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        """With -vvv connections show what modules print, unless it is not to be logged. This task's own answer is."""
        contexts = [self._play_context, getattr(self._connection, "_play_context", self._play_context)]
        before = [context.no_log for context in contexts]
        for context in contexts:
            context.no_log = True
        try:
            yield
        finally:
            for context, seen in zip(contexts, before, strict=True):
                context.no_log = seen


def _failure(reason: str) -> dict[str, Any]:
    return {"failed": True, "msg": reason, "reasons": [reason], "outcome": "failed"}
