# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave to become primary: advisory locks, which work on a standby too and vanish with the session that holds them.

Whoever promotes a node holds the GRANT lock on that node and on the other one where it runs. Two promotions can
therefore never cross: each would need the lock that the other one holds.
"""

from __future__ import annotations

from ._config import REPLICATION_ROLE
from ._postgres import Connection, one, rows

CLASS = 0x44554554  # "DUET"
GRANT = 1  # held while a node is being promoted
ARMED = 2  # the receiving node of a handover waits for its promotion
TAKEN = 3  # the receiving node has taken the endpoint
ABSTAINS = 4  # the other node says that it has no usable copy, and so can't be primary


def try_lock(connection: Connection, key: int) -> bool:
    return bool(one(connection, "SELECT pg_try_advisory_lock(%s, %s)", CLASS, key))


def unlock(connection: Connection, key: int) -> None:
    connection.execute("SELECT pg_advisory_unlock(%s, %s)", (CLASS, key))


def locks_held(connection: Connection) -> set[int]:
    """Which of our locks any session on that server holds."""
    query = "SELECT objid::int AS key FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted"
    return {row["key"] for row in rows(connection, query, CLASS)}


def peer_abstains(connection: Connection) -> bool:
    """Whether the other node holds ABSTAINS here: only its certificate makes a session of the replication role."""
    query = (
        "SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE l.locktype = 'advisory'"
        " AND l.classid = %s AND l.objid = %s AND l.granted AND a.usename = %s"
    )
    return bool(one(connection, query, CLASS, ABSTAINS, REPLICATION_ROLE))
