# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first lines of the command backup-ha: what runs all the time loads no more than it needs."""

from __future__ import annotations

import sys

from ._config import require_config
from ._errors import BackupHaError


def main(argv: list[str]) -> int:
    """As _cli.main()."""
    if argv == ["agent"]:
        try:
            _work()
        except BackupHaError as error:
            sys.stderr.write(f"backup-ha: {error}\n")
            return 1
        return 0
    from ._cli import main as run  # noqa: PLC0415

    return run(argv)


def _work() -> None:
    config = require_config()
    from ._agent import work  # noqa: PLC0415

    work(config)
