# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's command loads only what the agent needs; every other one is the whole command."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _agent, _cli, _command
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG


def test_the_agent_works(monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[object] = []
    monkeypatch.setattr(_command, "require_config", lambda: CONFIG)
    monkeypatch.setattr(_agent, "work", worked.append)
    assert _command.main(["agent"]) == 0
    assert worked == [CONFIG]


def test_a_server_that_is_no_node(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise BackupHaError("This server is no node of a cluster.")

    monkeypatch.setattr(_command, "require_config", fail)
    assert _command.main(["agent"]) == 1
    assert capsys.readouterr().err == "backup-ha: This server is no node of a cluster.\n"


def test_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(argv: list[str]) -> int:
        asked.append(argv)
        return 7

    monkeypatch.setattr(_cli, "main", run)
    assert _command.main(["status", "--json"]) == 7
    assert asked == [["status", "--json"]]


def test_the_agent_does_without_what_only_people_use() -> None:
    name = _command.__name__.rpartition(".")[0]
    script = (
        f"import sys, {name}._agent\n"
        f"print(*(loaded.rpartition('.')[2] for loaded in sys.modules if loaded.startswith('{name}.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    loaded = set(done.stdout.split())
    assert "_agent" in loaded
    assert not loaded & {"_cli", "_clone", "_rejoin", "_takeover", "_resume", "_deliver", "_event_list"}
