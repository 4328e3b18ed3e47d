# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The on-node command: what units and administrators type, what they get back."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _before_start, _cli, _endpoint, _promotion
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._postgres import SessionError
from ansible_collections.duet.backup_ha.plugins.module_utils._rejoin_outcome import Outcome
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was called; the node is node1 and may go on as primary."""
    events: list[str] = []
    monkeypatch.setattr(_cli, "require_config", lambda: CONFIG)
    monkeypatch.setattr(_cli, "load_config", lambda: CONFIG)
    monkeypatch.setattr(_cli, "observe_node", lambda _config, **_options: worlds.primary())
    monkeypatch.setattr(_before_start, "require_config", lambda: CONFIG)
    monkeypatch.setattr(_before_start, "before_start", lambda _config: events.append("before-start"))
    monkeypatch.setattr(_promotion, "endpoint_take_unit", lambda _config: events.append("take"))
    monkeypatch.setattr(_promotion, "endpoint_linger", lambda _config: events.append("linger"))
    monkeypatch.setattr(_endpoint, "delete", lambda _endpoint: events.append("drop"))
    monkeypatch.setattr(_before_start, "refuse_unusable", lambda: None)
    return events


@pytest.mark.parametrize(
    ("words", "event"),
    [
        ("before-start", "before-start"),
        ("endpoint take", "take"),
        ("endpoint linger", "linger"),
        ("endpoint drop", "drop"),
    ],
)
def test_what_units_call(called: list[str], words: str, event: str) -> None:
    assert _cli.main(words.split()) == 0
    assert called == [event]


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ("promoted", 0, "node1: is primary"),
        ("follows", 0, "node1: follows the other node"),
        ("the other node does not answer", 1, "node1: stays read-only: the other node does not answer"),
    ],
)
def test_resuming(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, code: int, said: str
) -> None:
    monkeypatch.setattr(_cli, "resume", lambda *_arguments: answer)
    assert _cli.main(["resume"]) == code
    assert capsys.readouterr().out == f"{said}\n"


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize(
    ("words", "patience", "alone"),
    [
        ("resume", 10.0, False),
        ("resume --patience 3.5", 3.5, False),
        ("resume --patience 0", _cli.FOREVER_S, False),
        ("resume --alone", 10.0, True),
    ],
)
def test_how_long_and_on_whose_word(monkeypatch: pytest.MonkeyPatch, words: str, patience: float, alone: bool) -> None:
    asked: list[Any] = []

    def resume(*arguments: Any) -> str:
        asked.append(arguments)
        return "promoted"

    monkeypatch.setattr(_cli, "resume", resume)
    _cli.main(words.split())
    assert asked == [(CONFIG, patience, alone)]


@pytest.mark.usefixtures("called")
def test_an_error_is_one_sentence_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_config: object) -> None:
        raise BackupHaError("198.18.0.10 is already answered by 02:00:00:00:00:01.")

    monkeypatch.setattr(_promotion, "endpoint_take_unit", fail)
    assert _cli.main(["endpoint", "take"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "backup-ha: 198.18.0.10 is already answered by 02:00:00:00:00:01.\n")


def test_before_a_start_only_the_mark_of_a_rewind_counts(
    called: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise BackupHaError("This server is no node of a cluster.")

    def refuse() -> None:
        raise RefusedError("PostgreSQL must not start.", ["A rewind was interrupted."])

    monkeypatch.setattr(_before_start, "require_config", fail)
    assert _cli.main(["before-start"]) == 0
    assert "no node of a cluster" in capsys.readouterr().err
    monkeypatch.setattr(_before_start, "require_config", lambda: CONFIG)
    monkeypatch.setattr(_before_start, "refuse_unusable", refuse)
    assert _cli.main(["before-start"]) == 1
    assert capsys.readouterr().err == "backup-ha: PostgreSQL must not start. A rewind was interrupted.\n"
    assert called == ["before-start"]


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("rejoin", (120.0, False, False)),
        ("rejoin --check", (120.0, False, True)),
        ("rejoin --discard-fork --timeout 5", (5.0, True, False)),
    ],
)
def test_rejoining(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, asked: tuple[Any, ...]
) -> None:
    calls: list[Any] = []

    def rejoin(config: Any, *arguments: Any) -> Outcome:
        calls.append((config, *arguments))
        return Outcome(["start"])

    waited: list[float] = []
    monkeypatch.setattr(_cli, "await_own_end", lambda _identity, patience: waited.append(patience))
    monkeypatch.setattr(_cli, "rejoin", rejoin)
    monkeypatch.setattr(signal, "signal", lambda *_arguments: None)
    assert _cli.main(words.split()) == 0
    assert calls == [(CONFIG, *asked)]
    assert len(waited) == (not asked[2]), "what the node does by itself is waited for; a rehearsal waits for nothing"
    said = "node1: would follow by: start\n" if asked[2] else "node1: follows node2\n"
    assert capsys.readouterr().out == said


@pytest.mark.usefixtures("called")
def test_a_broken_session_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def rejoin(*_arguments: Any) -> Outcome:
        raise SessionError("server closed the connection\nunexpectedly")

    monkeypatch.setattr(_cli, "rejoin", rejoin)
    monkeypatch.setattr(signal, "signal", lambda *_arguments: None)
    assert _cli.main(["rejoin"]) == 1
    assert (
        "broke: its server ended, or stands still, or the connection to it was lost. Run it again."
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "words", ["", "rejoin --timeout soon", "nosuch", "endpoint", "endpoint fly", "resume --patience soon"]
)
def test_wrong_usage_is_exit_code_2(called: list[str], words: str) -> None:
    with pytest.raises(SystemExit) as raised:
        _cli.main(words.split())
    assert raised.value.code == 2
    assert called == []


@pytest.mark.usefixtures("called")
def test_status_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "node1 of cluster duet: primary"
    assert lines[1] == f"  timeline 1, position {worlds.LSN}"
    assert f"  {worlds.TARGET}: active" in lines


@pytest.mark.usefixtures("called")
def test_status_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == worlds.primary()


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize("node", [worlds.stopped("node1"), worlds.unassembled("node1")])
def test_status_of_a_node_without_a_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], node: dict[str, Any]
) -> None:
    monkeypatch.setattr(_cli, "observe_node", lambda _config, **_options: node)
    assert _cli.main(["status"]) == 0
    assert "timeline -, position -" in capsys.readouterr().out


@pytest.mark.usefixtures("called")
def test_status_tells_that_the_server_must_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_cli, "observe_node", lambda _config, **_options: {**worlds.stopped("node1"), "unusable": True})
    _cli.main(["status"])
    assert "backup-ha rejoin" in capsys.readouterr().out


@pytest.mark.usefixtures("called")
def test_status_tells_the_problem(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_cli, "observe_node", lambda _config, **_options: worlds.shut_out(worlds.primary()))
    _cli.main(["status"])
    assert "  FATAL:  sorry, too many clients already\n" in capsys.readouterr().out
