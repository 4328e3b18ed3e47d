# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of events: from the database and from what is on its way there, each once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _event_list, _spool
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, UnreachableError
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The rows of the table."""
    found: list[dict[str, Any]] = []

    def rows(_session: object, _query: str, since: float, limit: int) -> list[dict[str, Any]]:
        newest = sorted((row for row in found if row["at"] >= since), key=lambda row: -row["at"])
        return [{**row, "details": json.dumps(row["details"])} for row in newest[:limit]]

    monkeypatch.setattr(_event_list, "connect_cluster_database", lambda _server: Session("node1"))
    monkeypatch.setattr(_event_list, "one", lambda _session, _query: False)
    monkeypatch.setattr(_event_list, "rows", rows)
    return found


def identities(limit: int = 9, since: float = 0.0) -> list[str]:
    return [event["id"] for event in _event_list.read_events(CONFIG, limit, since)]


def test_of_both_sources_in_their_order_each_once(table: list[dict[str, Any]]) -> None:
    table += [worlds.event(at=1.0, identity="a"), worlds.event(at=3.0, identity="c")]
    _spool.put(worlds.event(at=2.0, identity="b"))
    _spool.put(worlds.event(at=3.0, identity="c"))
    assert identities() == ["a", "b", "c"]
    assert identities(limit=2) == ["b", "c"]
    assert identities(since=1.5) == ["b", "c"]
    assert _event_list.read_events(CONFIG, 9)[0]["cluster"] == "duet"


def test_without_a_database_what_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_server: object) -> None:
        raise UnreachableError("The local PostgreSQL does not answer.")

    monkeypatch.setattr(_event_list, "connect_cluster_database", silent)
    _spool.put(worlds.event(identity="b"))
    assert identities() == ["b"]


def test_a_cluster_of_an_older_version_has_no_table(
    table: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    table.append(worlds.event())
    monkeypatch.setattr(_event_list, "one", lambda _session, _query: True)
    assert identities() == []


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("90s", 9910.0),
        ("15m", 9100.0),
        ("2h", 2800.0),
        ("1d", -76400.0),
        ("1970-01-01T01:00:00+00:00", 3600.0),
        ("1970-01-01 01:00:00Z", 3600.0),
    ],
)
def test_since_when(text: str, since: float) -> None:
    assert _event_list.parse_since(text, 10000.0) == since


@pytest.mark.parametrize("text", ["", "2", "h", "yesterday", "2026-13-01", "-2h"])
def test_no_time(text: str) -> None:
    with pytest.raises(BackupHaError, match="is no time"):
        _event_list.parse_since(text, 0.0)


@pytest.mark.parametrize(("severity", "mark"), [("info", ""), ("warning", "! "), ("error", "!! ")])
def test_for_people(table: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], severity: str, mark: str) -> None:
    table.append(worlds.event(severity=severity))
    assert _event_list.run_command(CONFIG, False, None, 5) == 0
    end = f"node1  role_changed: {mark}node1 is the primary now, on timeline 2.\n"
    assert capsys.readouterr().out.endswith(end)


def test_for_programs(table: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    table.append(worlds.event())
    assert _event_list.run_command(CONFIG, True, "30000d", 5) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["message_id"] and told["at"] == "2026-11-22T16:26:40.000Z"
