# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave to become primary: advisory locks, which work on a standby too and vanish with the session that holds them.

Whoever promotes a node holds the GRANT lock on that node and on the other one where it runs. Two promotions can
therefore never cross: each would need the lock that the other one holds.
"""

from __future__ import annotations

import math

from ._config import REPLICATION_ROLE
from ._postgres import Connection, one, rows

CLASS = 0x44554554  # "DUET"
GRANT = 1  # held while a node is being promoted
ARMED = 2  # the receiving node of a handover waits for its promotion
TAKEN = 3  # the receiving node has taken the endpoint
ABSTAINS = 4  # the other node says that it has no usable copy, and so can't be primary
DOWN = 5  # the other node says that no PostgreSQL runs on it
# An agent says it once a second.
FRESH_S = 3.0


def try_lock(connection: Connection, key: int) -> bool:
    return bool(one(connection, "SELECT pg_try_advisory_lock(%s, %s)", CLASS, key))


def unlock(connection: Connection, key: int) -> None:
    connection.execute("SELECT pg_advisory_unlock(%s, %s)", (CLASS, key))


def locks_held(connection: Connection) -> set[int]:
    """Which of our locks any session on that server holds."""
    query = "SELECT objid::int AS key FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted"
    return {row["key"] for row in rows(connection, query, CLASS)}


def peer_abstains(connection: Connection) -> bool:
    return _held_by_peer(connection, ABSTAINS)


def peer_says_down(connection: Connection) -> bool:
    """It repeats that as long as it is true; an agent that is stuck would hold the lock for ever."""
    return _held_by_peer(connection, DOWN, within_s=FRESH_S)


def end_down_word(connection: Connection) -> None:
    """``connection`` leads to the other node, where this one's agent may be late to take its word back."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s"
    rows(connection, query, CLASS, DOWN)


def _held_by_peer(connection: Connection, key: int, within_s: float = math.inf) -> bool:
    """Whether the other node holds a lock here: only its certificate makes a session of the replication role.

    ``within_s``: and its session has said something in the last seconds.
    """
    query = (
        "SELECT coalesce(extract(epoch FROM clock_timestamp() - a.state_change), 0)::float AS silent_s"
        " FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE l.locktype = 'advisory'"
        " AND l.classid = %s AND l.objid = %s AND l.granted AND a.usename = %s"
    )
    return any(row["silent_s"] <= within_s for row in rows(connection, query, CLASS, key, REPLICATION_ROLE))
