# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only bridge between Ansible and the node's own library: one frame for every module."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ._errors import BackupHaError, RefusedError, is_session_error, outcome_of, problem_of
from ._operation import advance


def run_module(module: AnsibleModule, body: Callable[[AnsibleModule], dict[str, Any]], step: str = "") -> None:
    """Run ``body`` and end the module with what it returns, or with the sentence of the error it raised.

    ``reasons`` is there for every failure, so that playbooks and people need to look in one place. ``step`` is what the
    node's record of the operation says from now on; for modules that change something.
    """
    began = time.monotonic()
    try:
        if step and not module.check_mode:
            advance(step)
        result = body(module)
    except RefusedError as error:
        module.fail_json(msg=f"{error} {' '.join(error.reasons)}", outcome=outcome_of(error), **error.details)
    except BackupHaError as error:
        details = {"reasons": [str(error)], **error.details}
        module.fail_json(msg=str(error), outcome=outcome_of(error), exception=traceback.format_exc(), **details)
    except Exception as error:
        if not is_session_error(error):
            raise
        said = problem_of(error)
        module.fail_json(msg=said, outcome="failed", reasons=[said], exception=traceback.format_exc())
    module.exit_json(duration=round(time.monotonic() - began, 3), **result)
