# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node without a usable copy tells the other one, which need not fear then that it became primary meanwhile.

PostgreSQL does not run here and so can't be asked; but this node can hold a lock over there. A primary that restarts
while its secondary is copied or rewound would wait for somebody's word otherwise.
"""

from __future__ import annotations

import time
from pathlib import Path

from ._config import ABSTAIN_UNIT, NodeConfig
from ._errors import BackupHaError, UnreachableError
from ._grant import ABSTAINS, try_lock
from ._postgres import SessionError, connect_peer, control_data, one
from ._primary_memory import was_primary
from ._system import systemctl
from ._unusable import is_unusable

PAUSE_S = 1.0


def abstain(config: NodeConfig) -> None:
    """Hold the lock on the other node until this one has a copy of its data."""
    while True:
        try:
            with connect_peer(config) as peer:
                identifier = one(peer, "SELECT system_identifier::text FROM pg_control_system()")
                # One that was primary may be again: its word would make two of them.
                while not (was_primary() or has_usable_copy(config, identifier)):
                    try_lock(peer, ABSTAINS)
                    time.sleep(PAUSE_S)
                return
        except (UnreachableError, SessionError):
            time.sleep(PAUSE_S)


def has_usable_copy(config: NodeConfig, identifier: str) -> bool:
    """Whether PostgreSQL could start here with data of the system ``identifier``."""
    if is_unusable():
        return False
    if not Path(config.postgresql.data_directory, "global/pg_control").exists():
        return False
    return control_data(config.postgresql).system_identifier == identifier


def begin_to_abstain() -> None:
    """For whoever makes the copy unusable, or finds that it can't make one. A comfort, and no reason to fail."""
    try:
        systemctl("start", "--no-block", ABSTAIN_UNIT)
    except BackupHaError:
        pass
