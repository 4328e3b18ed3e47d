# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters that a standby must have at least as large as its primary.

With a smaller one it does not start; while it runs, its replay pauses, and a promotion would end it. The control file
of a standby holds what its primary has. As every start of a node is a standby's start, that holds for a primary, too:
its values can be raised and not lowered. Source: PostgreSQL documentation, "Hot Standby", "Administrator's Overview".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# By the names in pg_controldata's output, which are not always the parameters' own.
STANDBY_MINIMUMS = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_xacts": "max_prepared_transactions",
    "max_locks_per_xact": "max_locks_per_transaction",
}


def too_small(settings: Mapping[str, Any], needed: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """The parameters whose own value is smaller than the primary's, with both values. Pure."""
    return {
        name: (int(settings[name]), needed[name])
        for name in STANDBY_MINIMUMS.values()
        if name in settings and int(settings[name]) < needed.get(name, 0)
    }


def describe_too_small(node: str, database: Mapping[str, Any]) -> list[str]:
    """One sentence for all of them; none when they suffice. ``database`` is observe_postgresql()'s. Pure."""
    needed = (database.get("control") or {}).get("standby_minimums", {})
    found = too_small(database.get("settings", {}), needed)
    if not found:
        return []
    listed = ", ".join(f"{name} is {own} and the primary has, or had, {other}" for name, (own, other) in found.items())
    return [
        f"On {node} {listed}: with less than the primary PostgreSQL can't replay, nor be promoted, nor start. Raise it "
        f"there ({SETTING_COMMAND}) and restart PostgreSQL: systemctl restart {database['unit']}."
    ]


SETTING_COMMAND = "backup_ha_postgresql_settings and duet.backup_ha.assemble, or its configuration file"
