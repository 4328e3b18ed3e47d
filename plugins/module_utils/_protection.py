# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether commits wait for the other node: PostgreSQL's setting on this node, and the word that goes with it.

The setting is in a file beside the data directory, because a copy or a rewind takes along what is inside. The word is a
row in the cluster's database, so that the secondary reads it in the same stream as the commits that it is about.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ._agent_decision import FOREIGN, NONE, OURS, REQUIRED
from ._config import NodeConfig
from ._errors import UnreachableError
from ._postgres import Connection, SessionError, connect_cluster_database, connect_local, one, rows
from ._system import write_durably

LAST_WORD = (
    "SELECT node, timeline, protected, extract(epoch FROM since)::float AS since, why"
    " FROM backup_ha.protection ORDER BY id DESC LIMIT 1"
)


def setting_path(config: NodeConfig) -> Path:
    return Path(config.postgresql.config_directory, "conf.d", "backup-ha-synchronous.conf")


def our_setting(config: NodeConfig) -> str:
    """synchronous_standby_names for the other node alone, as PostgreSQL quotes names in lists.

    It is the application_name of the other node's receiver.
    """
    escaped = config.peer.replace('"', '""')
    return f'"{escaped}"'


def kind_of_setting(config: NodeConfig, value: str) -> str:
    if not value:
        return NONE
    return OURS if value == our_setting(config) else FOREIGN


def change_setting(config: NodeConfig, connection: Connection, on: bool) -> None:
    """Write the setting and tell the server. When every session obeys it is another question: see _agent.py."""
    value = our_setting(config).replace("'", "''") if on else ""
    text = f"# Managed by backup-ha-agent.\nsynchronous_standby_names = '{value}'\n"
    path = setting_path(config)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_durably(path, text)
    connection.execute("SELECT pg_reload_conf()")


def give_word(connection: Connection, node: str, protected: bool, why: str) -> None:
    """Write down on a primary that commits are protected from now on, or that they are not any more."""
    connection.execute(
        "INSERT INTO backup_ha.protection (node, timeline, protected, why)"
        " SELECT %s, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int, %s, %s",
        (node, protected, why),
    )


def describe_waiting(config: NodeConfig, connection: Connection) -> str:
    """Says so while no client's commit here is acknowledged, because the other node is not there to have it; else
    nothing."""
    query = (
        "SELECT NOT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_replication"
        " WHERE application_name = %s AND state = 'streaming')"
    )
    try:
        setting, alone = one(connection, "SHOW synchronous_standby_names"), one(connection, query, config.peer)
    except SessionError:
        return ""
    if kind_of_setting(config, setting) != OURS or not alone:
        return ""
    bound = "" if config.agent.synchronous == REQUIRED else f", or for {config.agent.sync_grace:.0f} s"
    return f"Commits wait until {config.peer} is back{bound}."


def observe_protection(config: NodeConfig) -> dict[str, Any]:
    """What is wanted, the last word about it, and a sentence while nothing is acknowledged."""
    waiting = ""
    with suppress(UnreachableError, SessionError), connect_local(config.postgresql) as connection:
        waiting = describe_waiting(config, connection)
    return {"wanted": config.agent.synchronous, "word": read_word(config), "waiting": waiting}


def read_word(config: NodeConfig) -> dict[str, Any] | None:
    """The last word as this node has it: node, timeline, protected, since (epoch seconds), why."""
    try:
        with connect_cluster_database(config.postgresql) as connection:
            if not one(connection, "SELECT to_regclass('backup_ha.protection') IS NOT NULL"):
                return None
            found = rows(connection, LAST_WORD)
    except (UnreachableError, SessionError):
        return None
    return found[0] if found else None


def is_lossless(config: NodeConfig, word: dict[str, Any] | None, timeline: int | None, silent_s: float | None) -> bool:
    """Whether everything that the other node acknowledged is on this standby. Pure.

    The word has to be the other node's, about the timeline that this node follows. A primary that prefers to serve goes
    on alone after a while without its secondary; what it says of that may not have arrived.
    """
    if not word or not word["protected"] or word["node"] != config.peer:
        return False
    if not timeline or word["timeline"] < timeline:
        return False
    if config.agent.synchronous == REQUIRED:
        return True
    return silent_s is not None and silent_s < config.agent.sync_grace
