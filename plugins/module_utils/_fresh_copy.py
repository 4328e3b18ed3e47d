# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy that a rejoin makes where a rewind is not possible: what was worth keeping has been kept by then."""

from __future__ import annotations

import shutil

from . import _clone
from ._abstain import begin_to_abstain
from ._config import NodeConfig
from ._errors import BackupHaError, RefusedError
from ._leftovers import free_bytes, size_of
from ._system import systemctl
from ._unusable import clear_unusable, is_unusable


def plan_copy(config: NodeConfig) -> list[str]:
    """Raises RefusedError when there is no room for a copy beside the old directory; one that a rewind has left neither
    old nor new may go first."""
    directory = config.postgresql.data_directory
    try:
        return _plan(config, free_bytes(directory))
    except RefusedError:
        if not is_unusable():
            raise
    return ["remove_unusable", *_plan(config, free_bytes(directory) + size_of(directory))]


def _plan(config: NodeConfig, free: int) -> list[str]:
    local = {
        "role": "stopped",
        "state": None,
        "copied": False,
        "system_identifier": None,
        "holds_data": True,
        "was_primary": False,  # what is worth keeping of it was kept
        "leftovers": False,
        "free_bytes": free,
    }
    return _clone.plan_clone(local, _clone.observe_primary(config), erase=True)


def copy_anew(config: NodeConfig, timeout: float) -> None:
    """All but the start."""
    try:
        steps = plan_copy(config)
    except RefusedError as error:
        raise BackupHaError(f"{config.node} needs a fresh copy. {' '.join(error.reasons)}") from error
    if "remove_unusable" in steps:
        # The mark stays until the copy is there, so nothing starts meanwhile.
        systemctl("stop", config.postgresql.unit, timeout=timeout)
        begin_to_abstain()
        shutil.rmtree(config.postgresql.data_directory)
    _clone.clone(config, [step for step in steps if step not in ("remove_unusable", "start")], timeout)
    clear_unusable()
