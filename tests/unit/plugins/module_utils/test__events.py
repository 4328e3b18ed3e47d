# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events: stable identifiers, the journal at once, the disk for everybody else, and nothing that stops who emits."""

from __future__ import annotations

import re
import socket
import uuid
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _events, _spool
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, RefusedError
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

DOCUMENT = Path(__file__).parents[4] / "docs/events.md"
EVENT: dict[str, Any] = {
    "id": "5f0c",
    "at": 1795364819.625,
    "kind": "wal_lost",
    "severity": "error",
    "cluster": "duet",
    "node": "node1",
    "message": "It is gone.",
    "details": {"secondary": "node2"},
}


def fields_of(datagram: bytes) -> dict[str, str]:
    """As journald reads them."""
    found = {}
    while datagram:
        line, _newline, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length, rest = int.from_bytes(rest[:8], "little"), rest[8:]
            value, rest = rest[:length], rest[length + 1 :]
        found[name.decode()], datagram = value.decode(), rest
    return found


def emitted() -> list[dict[str, Any]]:
    return [event for event in map(_spool.read, _spool.waiting()) if event]


def test_every_kind_has_an_identifier_of_its_own_and_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|.*\| `([0-9a-f]{32})` \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert set(rows) == {(name, kind.severity, kind.message_id) for name, kind in _events.KINDS.items()}
    assert len({kind.message_id for kind in _events.KINDS.values()}) == len(_events.KINDS)
    assert all(kind.severity in _events.PRIORITIES for kind in _events.KINDS.values())


def test_identities_are_random_uuids() -> None:
    found = {_events.new_identity() for _number in range(100)}
    assert len(found) == 100
    assert {uuid.UUID(identity).version for identity in found} == {4}
    assert {uuid.UUID(identity).variant for identity in found} == {uuid.RFC_4122}


@pytest.mark.parametrize("message", ["It is gone.", "Two\nlines = one value", ""])
def test_what_journald_gets(message: str) -> None:
    fields = fields_of(_events.journal_datagram({**EVENT, "message": message}))
    assert fields["MESSAGE"] == message
    assert fields["MESSAGE_ID"] == _events.KINDS["wal_lost"].message_id
    assert (fields["PRIORITY"], fields["BACKUP_HA_EVENT"]) == ("3", "wal_lost")
    assert fields["BACKUP_HA_DETAILS"] == '{"secondary": "node2"}'


def test_it_is_in_the_journal_before_it_is_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    put = _spool.put
    monkeypatch.setattr(_events, "_to_journal", lambda _event: order.append("journal"))

    def put_noted(event: dict[str, Any]) -> None:
        order.append("disk")
        put(event)

    monkeypatch.setattr(_spool, "put", put_noted)
    event = _events.emit("wal_half", "It fills.", CONFIG, secondary="node2")
    assert order == ["journal", "disk"]
    assert emitted() == [event]
    assert (event["cluster"], event["node"], event["severity"]) == ("duet", "node1", "warning")
    assert event["details"] == {"secondary": "node2"}


def test_a_server_that_is_no_node_yet_has_a_name() -> None:
    assert _events.emit("operation_started", "It begins.", None)["node"] == socket.gethostname()


@pytest.mark.parametrize("problem", [BackupHaError("It is not JSON."), PermissionError("no")])
def test_a_description_that_can_t_be_read_is_none(monkeypatch: pytest.MonkeyPatch, problem: Exception) -> None:
    def fail() -> None:
        raise problem

    monkeypatch.setattr(_events, "load_config", lambda: CONFIG)
    assert _events.this_node() == CONFIG
    monkeypatch.setattr(_events, "load_config", fail)
    assert _events.this_node() is None


def test_what_is_only_for_the_journal_leaves_nothing_on_the_disk() -> None:
    _events.emit("operation_started", "It begins.", CONFIG, keep=False)
    assert emitted() == []


def test_the_journal_s_socket_gets_the_datagram(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        monkeypatch.setattr(_events, "JOURNAL", str(tmp_path / "journal"))
        event = _events.emit("secondary_back", "It is back.", CONFIG)
        assert fields_of(journal.recv(65536))["BACKUP_HA_EVENT_ID"] == event["id"]


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), _spool.FullError("1000 events wait.")])
def test_a_full_disk_is_said_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], problem: Exception
) -> None:
    def put(_event: object) -> None:
        raise problem

    monkeypatch.setattr(_spool, "put", put)
    _events.emit("wal_half", "It fills.", CONFIG)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "It fills.", "without a journal it goes to standard error"
    assert "is in this journal only" in said[1]


def test_a_journal_that_does_not_take_it_costs_a_moment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_events, "JOURNAL_S", 0.05)
    monkeypatch.setattr(_events, "JOURNAL", str(tmp_path / "journal"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        for _number in range(50):  # more than its queue takes
            _events.emit("wal_half", "It fills.", CONFIG, keep=False)


RECORD = {"id": "duet-7", "kind": "switchover", "by": "root@control", "target": "node2"}


@pytest.mark.parametrize(
    ("target", "message"),
    [("node2", "root@control began the switchover towards node2."), ("", "root@control began the switchover.")],
)
def test_the_start_of_an_operation(target: str, message: str) -> None:
    _events.tell_start(CONFIG, {**RECORD, "target": target})
    (event,) = emitted()
    assert event["message"] == message
    assert event["details"] == {"operation": "duet-7", "what": "switchover", "by": "root@control", "target": target}


@pytest.mark.parametrize(
    ("outcome", "reasons", "severity", "message"),
    [
        ("done", [], "info", "The switchover has ended: done."),
        ("rolled_back", ["It did not stop."], "warning", "The switchover has ended: rolled_back. It did not stop."),
    ],
)
def test_the_end_of_an_operation(outcome: str, reasons: list[str], severity: str, message: str) -> None:
    _events.tell_end(CONFIG, "duet-7", "switchover", outcome, reasons)
    (event,) = emitted()
    assert (event["severity"], event["message"]) == (severity, message)


@pytest.mark.parametrize(
    ("error", "outcome", "reasons"),
    [
        (None, "done", []),
        (RefusedError("Nothing was changed.", ["It answers."]), "refused", ["Nothing was changed.", "It answers."]),
        (BackupHaError("It did not start."), "failed", ["It did not start."]),
        (ValueError("a bug"), "failed", ["a bug"]),
    ],
)
def test_an_operation_on_one_node_is_told_whatever_its_end(
    error: Exception | None, outcome: str, reasons: list[str]
) -> None:
    def operate() -> None:
        with _events.told(CONFIG, "rejoin", "alice"):
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            operate()
    else:
        operate()
    begin, end = emitted()
    assert (begin["kind"], end["kind"]) == ("operation_started", "operation_ended")
    assert begin["details"]["operation"] == end["details"]["operation"]
    assert (end["details"]["outcome"], end["details"]["reasons"]) == (outcome, reasons)


def test_an_operation_s_end_may_be_another_one() -> None:
    with _events.told(CONFIG, "resume", "alice") as ending:
        ending.update(outcome="refused", reasons=["It waits."])
    assert emitted()[-1]["details"]["outcome"] == "refused"


def test_programs_get_the_time_as_others_write_it() -> None:
    told = _events.document(EVENT)
    assert told["at"] == "2026-11-22T16:26:59.625Z"
    assert told["message_id"] == _events.KINDS["wal_lost"].message_id
    assert _events.document({**EVENT, "kind": "of a later version"})["message_id"] == ""
