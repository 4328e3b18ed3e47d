# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a data directory holds anything but what initdb makes."""

from __future__ import annotations

import re
from pathlib import Path

FIRST_USER_OID = 16384  # FirstNormalObjectId: below it, everything was made by initdb


def holds_user_data(data_directory: str) -> bool:
    """Somebody created something in this data directory: a tablespace, a database or a relation."""
    tablespaces = Path(data_directory, "pg_tblspc")
    if tablespaces.is_dir() and any(tablespaces.iterdir()):
        return True
    base = Path(data_directory, "base")
    if not base.is_dir():
        return False
    return any(
        _leading_number(path.name) >= FIRST_USER_OID
        for database in base.iterdir()
        for path in (database, *database.iterdir())
    )


def _leading_number(name: str) -> int:
    digits = re.match(r"\d+", name)
    return int(digits.group()) if digits else 0
