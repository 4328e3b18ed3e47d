# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What precedes every start of PostgreSQL, which waits for it: so without the driver, whose loading takes longest."""

from __future__ import annotations

import sys

from . import _endpoint
from ._config import NodeConfig, require_config
from ._control import parse_control_data
from ._errors import BackupHaError, RefusedError
from ._past import set_aside_outvoted_histories
from ._system import run
from ._unusable import refuse_unusable


def before_start(config: NodeConfig) -> None:
    """Never start with the endpoint, and let one with a fork start at all."""
    _endpoint.delete(config.endpoint)
    server = config.postgresql
    control = parse_control_data(run([f"{server.bin_directory}/pg_controldata", server.data_directory]))
    set_aside_outvoted_histories(server.data_directory, control)


def main(_argv: list[str]) -> int:
    """Refuse what a rewind left half done; nothing else keeps a standby from starting."""
    try:
        before_start(require_config())
    except (BackupHaError, OSError, ValueError) as error:
        sys.stderr.write(f"backup-ha: {error}\n")
    try:
        refuse_unusable()
    except RefusedError as error:
        sys.stderr.write(f"backup-ha: {error} {' '.join(error.reasons)}\n")
        return 1
    return 0
