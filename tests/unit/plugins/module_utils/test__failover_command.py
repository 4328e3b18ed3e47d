# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `backup-ha failover` asks, prints and returns."""

from __future__ import annotations

import io
import json
import signal
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _cli, _failover_command
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, InDoubtError, RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._failover import Report, Wishes, examine
from ansible_collections.duet.backup_ha.plugins.module_utils._postgres import SessionError
from ansible_collections.duet.backup_ha.plugins.module_utils._takeover import Order, Takeover
from ansible_collections.duet.backup_ha.tests.unit.plugins import evidences
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

DOWN = examine(evidences.down(), Wishes())
SILENT = examine(evidences.silent(), Wishes())


class Command:
    """The command with a takeover that only notes what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, report: Report = DOWN) -> None:
        self.orders: list[Order] = []
        self.answer: Takeover | Exception = Takeover(True, report)
        monkeypatch.setattr(_cli, "require_config", lambda: CONFIG)
        monkeypatch.setattr(_failover_command, "look", lambda _config, _order: report)
        monkeypatch.setattr(_failover_command, "take_over", self.take_over)
        monkeypatch.setattr(_failover_command, "who", lambda: "alice")
        monkeypatch.setattr(signal, "signal", lambda *_arguments: None)

    def take_over(self, _config: object, order: Order) -> Takeover:
        self.orders.append(order)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_with_a_yes_it_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command = Command(monkeypatch)
    assert _cli.main(["failover", "--yes", "--primary-is-off", "--max-loss-bytes", "7"]) == 0
    assert command.orders == [Order(True, 7, who="alice")]
    said = capsys.readouterr().out
    assert "no PostgreSQL runs there" in said and said.endswith(f"{CONFIG.node} is the primary and has the endpoint.\n")


def test_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Command(monkeypatch)
    assert _cli.main(["failover", "--yes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], found["finding"]["name"], found["changed"]) == ("done", "proven_down", True)


def test_a_second_one_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Command(monkeypatch).answer = Takeover()
    assert _cli.main(["failover", "--yes"]) == 0
    assert capsys.readouterr().out.startswith(f"{CONFIG.node} was the primary already.\n")


def test_without_a_yes_and_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert _cli.main(["failover"]) == 1
    said = capsys.readouterr()
    assert command.orders == [] and said.out == ""
    assert "no PostgreSQL runs there" in said.err and "backup-ha failover --yes" in said.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [("yes\n", 0), ("YES \n", 0), ("y\n", 1), ("", 1)])
def test_on_a_terminal_it_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, code: int
) -> None:
    command = Command(monkeypatch)
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert _cli.main(["failover"]) == code
    assert len(command.orders) == 1 - code
    said = capsys.readouterr()
    assert "can't be known" in said.out and "Type yes: " in said.out
    assert ("not confirmed" in said.err) is bool(code)


def test_nobody_is_asked_for_what_is_refused_anyway(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(monkeypatch, SILENT)
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    assert _cli.main(["failover"]) == 1
    said = capsys.readouterr()
    assert command.orders == [] and said.out == "" and "--primary-is-off" in said.err


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (RefusedError("Nothing was changed.", ["Why."], report=SILENT.as_dict()), "refused", 1),
        (RefusedError("Nothing was changed.", ["Why."]), "refused", 1),
        (BackupHaError("Why."), "failed", 1),
        (SessionError("EOF detected"), "failed", 1),
        (InDoubtError("Why."), "in_doubt", 3),
    ],
)
def test_every_end_has_a_word_a_sentence_and_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, outcome: str, code: int
) -> None:
    Command(monkeypatch).answer = error
    assert _cli.main(["failover", "--yes"]) == code
    why = "A session to PostgreSQL broke" if isinstance(error, SessionError) else "Why."
    assert f"backup-ha: {why}" in capsys.readouterr().err
    assert _cli.main(["failover", "--yes", "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["outcome"] == outcome and why in found["reasons"][-1]


def test_the_person_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    assert _failover_command.who() == "alice"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setenv("LOGNAME", "bob")
    assert _failover_command.who() == "bob"
