# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's own database, and the least rights that the other node and the proof from outside need."""

from __future__ import annotations

import json
import secrets
from typing import Any

from ._config import DATABASE, REPLICATION_ROLE, Postgresql
from ._postgres import Connection, connect_cluster_database, connect_local, one, rows, timeline_of

PROBE_ROLE = "backup_ha_probe"
TICKET_LIFETIME = "2 minutes"
# A node that rejoins by itself says so on the primary.
HISTORY_RIGHT = f"right of {REPLICATION_ROLE} to write the history"

# What pg_rewind needs beyond replication: PostgreSQL documentation, pg_rewind, "Notes".
_FUNCTIONS = (
    "pg_promote(boolean, integer)",
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)
_TABLES = {
    "history": """CREATE TABLE backup_ha.history (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, operation text NOT NULL, kind text NOT NULL,
        from_node text, to_node text, timeline int, lsn pg_lsn, started timestamptz NOT NULL,
        finished timestamptz NOT NULL DEFAULT clock_timestamp(), outcome text NOT NULL, who text, why text)""",
    "file": """CREATE TABLE backup_ha.file (
        path text PRIMARY KEY, kind text NOT NULL, mode int NOT NULL, owner text NOT NULL, "group" text NOT NULL,
        content bytea NOT NULL, digest text NOT NULL, captured timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "file_version": """CREATE TABLE backup_ha.file_version (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, path text NOT NULL, kind text NOT NULL, mode int NOT NULL,
        owner text NOT NULL, "group" text NOT NULL, content bytea NOT NULL, digest text NOT NULL, node text NOT NULL,
        captured timestamptz NOT NULL DEFAULT clock_timestamp());
        CREATE INDEX ON backup_ha.file_version (path, id)""",
    "file_source": """CREATE TABLE backup_ha.file_source (
        single boolean PRIMARY KEY DEFAULT true CHECK (single), node text NOT NULL, revision bigint NOT NULL,
        changed timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "protection": """CREATE TABLE backup_ha.protection (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, node text NOT NULL, timeline int NOT NULL,
        protected boolean NOT NULL, since timestamptz NOT NULL DEFAULT clock_timestamp(), why text NOT NULL)""",
    "event": """CREATE TABLE backup_ha.event (
        id uuid PRIMARY KEY, at timestamptz NOT NULL, kind text NOT NULL, severity text NOT NULL, node text NOT NULL,
        message text NOT NULL, details jsonb NOT NULL);
        CREATE INDEX event_at ON backup_ha.event (at)""",
    "probe": """CREATE TABLE backup_ha.probe (
        asked_by text PRIMARY KEY, asked timestamptz NOT NULL DEFAULT clock_timestamp())""",
}


def missing(server: Postgresql) -> list[str]:
    """What ensure() would create, in its order; an empty list when all is there."""
    with connect_local(server) as connection:
        present = {row["rolname"] for row in rows(connection, "SELECT rolname FROM pg_roles")}
        wanted = [f"role {role}" for role in (REPLICATION_ROLE, PROBE_ROLE) if role not in present]
        wanted += [] if _rights_granted(connection, present) else [f"rights of {REPLICATION_ROLE}"]
        if not has_cluster_database(connection):
            return [*wanted, f"database {DATABASE}", *(f"table {DATABASE}.{name}" for name in _TABLES), HISTORY_RIGHT]
    with connect_cluster_database(server) as connection:
        wanted += [f"table {DATABASE}.{name}" for name in _TABLES if not _has_table(connection, name)]
        told = f"table {DATABASE}.history" not in wanted and _may_tell_history(connection)
        return wanted if told else [*wanted, HISTORY_RIGHT]


def _rights_granted(connection: Connection, roles: set[str]) -> bool:
    if REPLICATION_ROLE not in roles:
        return False
    functions = all(
        one(connection, "SELECT has_function_privilege(%s, %s, 'EXECUTE')", REPLICATION_ROLE, function)
        for function in _FUNCTIONS
    )
    return functions and bool(one(connection, "SELECT pg_has_role(%s, 'pg_monitor', 'USAGE')", REPLICATION_ROLE))


def _may_tell_history(connection: Connection) -> bool:
    query = "SELECT has_table_privilege(%s, 'backup_ha.history', 'INSERT') FROM pg_roles WHERE rolname = %s"
    return bool(one(connection, query, REPLICATION_ROLE, REPLICATION_ROLE))


def _has_table(connection: Connection, name: str) -> bool:
    return bool(one(connection, "SELECT to_regclass(%s) IS NOT NULL", f"backup_ha.{name}"))


def ensure(server: Postgresql) -> list[str]:
    """Create what is missing. Returns what was created."""
    wanted = missing(server)
    with connect_local(server) as connection:
        if f"role {REPLICATION_ROLE}" in wanted:
            connection.execute(f"CREATE ROLE {REPLICATION_ROLE} LOGIN REPLICATION")
        if f"role {PROBE_ROLE}" in wanted:
            connection.execute(f"CREATE ROLE {PROBE_ROLE} LOGIN CONNECTION LIMIT 5")
        if f"rights of {REPLICATION_ROLE}" in wanted:
            connection.execute(f"GRANT pg_monitor, pg_checkpoint TO {REPLICATION_ROLE}")
            for function in _FUNCTIONS:
                connection.execute(f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {REPLICATION_ROLE}")
        if f"database {DATABASE}" in wanted:
            connection.execute(
                f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
            )
    with connect_cluster_database(server) as connection:
        _ensure_tables(connection, wanted)
    return wanted


def _ensure_tables(connection: Connection, wanted: list[str]) -> None:
    """All or nothing, so that whatever interrupts it, the tables that are there say that the rest is as well."""
    tables = [name for name in _TABLES if f"table {DATABASE}.{name}" in wanted]
    if not tables and HISTORY_RIGHT not in wanted:
        return
    with connection.transaction():
        connection.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
        connection.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO {PROBE_ROLE}")
        connection.execute("CREATE SCHEMA IF NOT EXISTS backup_ha")
        for name in tables:
            connection.execute(_TABLES[name])
        connection.execute(f"GRANT USAGE ON SCHEMA backup_ha TO {PROBE_ROLE}")
        connection.execute(f"GRANT SELECT, INSERT, UPDATE ON backup_ha.probe TO {PROBE_ROLE}")
        connection.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO {REPLICATION_ROLE}")
        connection.execute(f"GRANT USAGE ON SCHEMA backup_ha TO {REPLICATION_ROLE}")
        connection.execute(f"GRANT SELECT, INSERT ON backup_ha.history TO {REPLICATION_ROLE}")
        # The secondary adds its events to the primary's.
        connection.execute(f"GRANT INSERT ON backup_ha.event TO {REPLICATION_ROLE}")


def issue_ticket(server: Postgresql) -> dict[str, Any]:
    """A password for one proof from outside, good for two minutes and stored nowhere.

    Returns password and timeline of this writer.
    """
    password = secrets.token_urlsafe(24)
    with connect_local(server) as connection:
        verifier = connection.pgconn.encrypt_password(password.encode(), PROBE_ROLE.encode(), b"scram-sha-256").decode()
        until = one(connection, f"SELECT (now() + interval '{TICKET_LIFETIME}')::text")
        # The verifier and the time are made here; they hold no quote that could end the literal.
        connection.execute(f"ALTER ROLE {PROBE_ROLE} PASSWORD '{verifier}' VALID UNTIL '{until}'")
        return {"password": password, "timeline": timeline_of(connection)}


def record_history(server: Postgresql, entry: dict[str, Any], once: bool = False) -> None:
    """Add one line to the history of role changes; with ``once``, unless there is a line of its timeline.

    Keys as the table's columns; ``started`` in epoch seconds.
    """
    with connect_cluster_database(server) as connection:
        add_to_history(connection, entry, once)


def add_to_history(connection: Connection, entry: dict[str, Any], once: bool = False) -> None:
    """As record_history(), through a session to the cluster's database on the primary, from either node."""
    connection.execute(
        "INSERT INTO backup_ha.history"
        " (operation, kind, from_node, to_node, timeline, lsn, started, outcome, who, why)"
        " SELECT operation, kind, from_node, to_node, timeline, pg_current_wal_lsn(), to_timestamp(started),"
        " outcome, who, why"
        " FROM json_to_record(%s::json) AS e(operation text, kind text, from_node text, to_node text,"
        " timeline int, started float, outcome text, who text, why text)"
        " WHERE NOT %s OR NOT EXISTS (SELECT FROM backup_ha.history AS h WHERE h.timeline = e.timeline)",
        (json.dumps(entry), once),
    )


def has_cluster_database(connection: Connection) -> bool:
    return bool(one(connection, "SELECT count(*) FROM pg_database WHERE datname = %s", DATABASE))
