# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent says that no PostgreSQL runs while that is true, and as long as the other node listens."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _down_word
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._grant import DOWN
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session


def test_any_process_of_the_server_counts(tmp_path: Path) -> None:
    server = replace(CONFIG.postgresql, data_directory=str(tmp_path))
    assert not _down_word.server_lives(server)
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as process:
        assert _down_word.server_lives(server)
        process.kill()
    assert not _down_word.server_lives(server)


class World:
    """The other node; every attribute is one thing that a test changes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.lives, self.listens, self.breaks = False, True, False
        self.word = _down_word.DownWord(CONFIG)
        monkeypatch.setattr(_down_word, "server_lives", lambda _server: self.lives)
        monkeypatch.setattr(_down_word, "connect_peer", self.connect)
        monkeypatch.setattr(_down_word, "try_lock", lambda _session, key: self.events.append(f"lock {key}"))
        monkeypatch.setattr(_down_word, "one", self.one)

    def connect(self, _config: object, timeout: float) -> Session:
        assert timeout < 1
        if not self.listens:
            raise UnreachableError("PostgreSQL on node2 does not answer")
        self.session = Session("node2")
        return self.session

    def one(self, _session: object, _query: str) -> int:
        if self.breaks:
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        self.events.append("repeated")
        return 1


def test_it_is_said_once_and_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.word.give()
    world.word.give()
    assert world.events == [f"lock {DOWN}", "repeated", "repeated"]
    world.word.take_back()
    world.word.take_back()
    assert world.session.closed


def test_it_is_not_said_of_a_server_that_lives_and_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.word.give()
    world.lives = True
    world.word.give()
    assert world.session.closed and world.events.count("repeated") == 1


def test_it_is_said_again_when_the_other_node_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.listens = False
    world.word.give()
    assert world.events == []
    world.listens, world.breaks = True, True
    world.word.give()
    assert world.session.closed
    world.breaks = False
    world.word.give()
    assert world.events == [f"lock {DOWN}", f"lock {DOWN}", "repeated"]
