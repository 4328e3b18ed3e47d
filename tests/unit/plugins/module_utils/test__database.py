# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is missing of the cluster's database is made, once and in an order that works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _database
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

EVERYTHING = [
    "role backup_ha",
    "role backup_ha_probe",
    "rights of backup_ha",
    "database backup_ha",
    "table backup_ha.history",
    "table backup_ha.file",
    "table backup_ha.file_version",
    "table backup_ha.file_source",
    "table backup_ha.protection",
    "table backup_ha.event",
    "table backup_ha.probe",
    "right of backup_ha to write the history",
]
MADE_BY = {
    r"CREATE ROLE backup_ha LOGIN REPLICATION$": "role backup_ha",
    r"CREATE ROLE backup_ha_probe LOGIN": "role backup_ha_probe",
    r"GRANT pg_monitor, pg_checkpoint TO backup_ha$": "rights of backup_ha",
    r"CREATE DATABASE backup_ha ": "database backup_ha",
    r"CREATE TABLE backup_ha\.history ": "table backup_ha.history",
    r"CREATE TABLE backup_ha\.file ": "table backup_ha.file",
    r"CREATE TABLE backup_ha\.file_version ": "table backup_ha.file_version",
    r"CREATE TABLE backup_ha\.file_source ": "table backup_ha.file_source",
    r"CREATE TABLE backup_ha\.protection ": "table backup_ha.protection",
    r"CREATE TABLE backup_ha\.event ": "table backup_ha.event",
    r"CREATE TABLE backup_ha\.probe ": "table backup_ha.probe",
    r"GRANT SELECT, INSERT ON backup_ha\.history TO backup_ha$": "right of backup_ha to write the history",
}


class Server:
    """A server that holds what was created on it, and says so when it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *present: str) -> None:
        self.present = set(present)
        self.statements: list[str] = []
        self.done: set[str] = set()
        self.dies_after: int | None = None
        monkeypatch.setattr(_database, "connect_local", lambda _server: self)
        monkeypatch.setattr(_database, "connect_cluster_database", lambda _server: self.cluster_database())
        monkeypatch.setattr(_database, "has_cluster_database", lambda _session: "database backup_ha" in self.present)
        monkeypatch.setattr(_database, "rows", self.rows)
        monkeypatch.setattr(_database, "one", self.one)

    def cluster_database(self) -> Server:
        assert "database backup_ha" in self.present, "connected to a database that does not exist"
        return self

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def rows(self, _session: object, _query: str) -> Iterator[dict[str, str]]:
        return ({"rolname": name.split()[1]} for name in sorted(self.present) if name.startswith("role "))

    def one(self, _session: object, query: str, *parameters: Any) -> bool:
        if "to_regclass" in query:
            return f"table {parameters[0]}" in self.present
        if "has_table_privilege" in query:
            return "right of backup_ha to write the history" in self.present
        assert "role backup_ha" in self.present, "asked for the rights of a role that does not exist"
        if "rights of backup_ha" in self.present and not self.done:
            return True  # granted before this test began
        if "pg_has_role" in query:
            return "GRANT pg_monitor, pg_checkpoint TO backup_ha" in self.done
        return f"GRANT EXECUTE ON FUNCTION pg_catalog.{parameters[-1]} TO backup_ha" in self.done

    def execute(self, statement: str) -> None:
        if len(self.statements) == self.dies_after:
            raise KeyboardInterrupt
        if statement.startswith("CREATE TABLE"):
            assert "CREATE SCHEMA IF NOT EXISTS backup_ha" in self.done, "no schema to create a table in"
        self.statements.append(statement)
        self.done.add(statement)
        self.present |= {thing for pattern, thing in MADE_BY.items() if re.match(pattern, statement)}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        before = set(self.present), set(self.done)
        try:
            yield
        except BaseException:
            self.present, self.done = before
            raise


def test_on_a_plain_server_everything_is_missing_and_made(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    assert _database.missing(CONFIG.postgresql) == EVERYTHING
    assert _database.ensure(CONFIG.postgresql) == EVERYTHING
    assert server.present == set(EVERYTHING)
    assert _database.missing(CONFIG.postgresql) == []


def test_a_second_time_nothing_is_said_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, *EVERYTHING)
    assert _database.ensure(CONFIG.postgresql) == []
    assert server.statements == []


def test_killed_at_any_statement_it_is_finished_by_running_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Server(monkeypatch)
    _database.ensure(CONFIG.postgresql)
    assert len(whole.done) > 10
    for number in range(len(whole.statements)):
        server = Server(monkeypatch)
        server.dies_after = number
        with pytest.raises(KeyboardInterrupt):
            _database.ensure(CONFIG.postgresql)
        server.dies_after = None
        _database.ensure(CONFIG.postgresql)
        assert server.present == set(EVERYTHING)
        assert server.done == whole.done, f"killed after {number} statements, something is never done"


def test_the_replication_role_is_no_superuser_and_gets_what_a_rewind_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    _database.ensure(CONFIG.postgresql)
    text = "\n".join(server.statements)
    assert "SUPERUSER" not in text
    for function in ("pg_promote", "pg_ls_dir", "pg_stat_file", "pg_read_binary_file"):
        assert re.search(rf"GRANT EXECUTE ON FUNCTION pg_catalog\.{function}\(.*\) TO backup_ha\b", text)


def test_nobody_else_gets_into_the_cluster_s_database(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    _database.ensure(CONFIG.postgresql)
    assert "REVOKE ALL ON DATABASE backup_ha FROM PUBLIC" in server.statements
    granted = [statement for statement in server.statements if statement.endswith("TO backup_ha_probe")]
    assert [s.removesuffix(" TO backup_ha_probe") for s in granted] == [
        "GRANT CONNECT ON DATABASE backup_ha",
        "GRANT USAGE ON SCHEMA backup_ha",
        "GRANT SELECT, INSERT, UPDATE ON backup_ha.probe",
    ]


def test_the_other_node_adds_events_and_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    _database.ensure(CONFIG.postgresql)
    tables = [statement for statement in server.statements if re.search(r" ON backup_ha\..* TO backup_ha$", statement)]
    assert "GRANT INSERT ON backup_ha.event TO backup_ha" in tables
    assert not [statement for statement in tables if "event" in statement and "SELECT" in statement]
