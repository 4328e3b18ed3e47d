# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: answer
type: stdout
short_description: Only the answer, for programs that read it
version_added: 0.1.0
description:
  - Prints nothing of plays and tasks, so that the standard output of the playbook C(duet.backup_ha.status) is the
    table or the JSON document alone. Failures go to the standard error.
author:
  - Duet contributors (@duet)
requirements:
  - Set it as the stdout callback, for instance with E(ANSIBLE_STDOUT_CALLBACK=duet.backup_ha.answer).
"""

import json
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "duet.backup_ha.answer"

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            self._complain(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._complain(result)

    def _complain(self, result: Any) -> None:
        said = result.result.get("msg", "failed")
        text = said if isinstance(said, str) else json.dumps(said)
        self._display.display(f"{result.host.get_name()}: {text}", stderr=True)
