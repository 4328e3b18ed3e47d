# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking everybody at once, with real sockets where that is possible."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _endpoint, _evidence
from ansible_collections.duet.backup_ha.plugins.module_utils._control import ControlData
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    BackupHaError,
    DeadlineError,
    UnreachableError,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_three_answers_of_a_port(monkeypatch: pytest.MonkeyPatch, listener: int) -> None:
    assert _evidence.ask_port("127.0.0.1", listener) == "open"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert _evidence.ask_port("127.0.0.1", port) == "refused"

    def vanish(*_arguments: object, **_options: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", vanish)
    assert _evidence.ask_port("127.0.0.1", listener) == "silent"


def test_silence_costs_no_more_than_it_may() -> None:
    began = time.monotonic()
    found = _evidence.ask_all({"quick": lambda: 1, "slow": lambda: time.sleep(3)}, 0.2)
    assert found == {"quick": 1} and time.monotonic() - began < 1


def test_a_question_that_breaks_is_no_silence() -> None:
    """Else a missing right would look like a dead primary."""

    def ask() -> None:
        raise OSError("Operation not permitted")

    with pytest.raises(BackupHaError, match="holder: Operation not permitted"):
        _evidence.ask_all({"holder": ask}, 1)


def test_what_the_control_node_sees(listener: int) -> None:
    found = _evidence.ask_from_control_node("127.0.0.1", "127.0.0.2", listener)
    assert found == {"port": "open", "endpoint_port": "refused"}


def test_when_wal_was_written(tmp_path: Path) -> None:
    path = tmp_path / "pg_wal" / "000000030000000000000003"
    path.parent.mkdir()
    path.touch()
    os.utime(path, (1000.0, 1000.0))
    size = 16 * 1024 * 1024
    assert _evidence._written(str(tmp_path), 3, "0/3500000", size) == 1000.0
    assert _evidence._written(str(tmp_path), 3, "0/4000000", size) == 1000.0, "the byte before is what was written"
    assert _evidence._written(str(tmp_path), 3, "0/0", size) is None
    assert _evidence._written(str(tmp_path), 2, "0/3500000", size) is None
    assert _evidence._written(str(tmp_path), None, "0/3500000", size) is None
    assert _evidence._written(str(tmp_path), 3, None, size) is None


class World:
    """The surroundings of node1, whose peer node2 is gone; every attribute is one thing that a test changes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.facts: dict[str, Any] = {**worlds.secondary("node1", "node2")["postgresql"], "receiver": None}
        self.values: dict[str, Any] = {
            "receive": "0/30134E0",
            "wal_segment_size": "16777216",
            "paused": False,
        }
        self.peer: Exception | bool = UnreachableError("PostgreSQL on node2 does not answer: timed out")
        self.ports: dict[str, str] = {}
        self.held_here = False
        self.told_down = False
        self.word: dict[str, Any] | None = None
        replaced: dict[str, Any] = {
            "observe_replication": lambda _session: self.facts,
            "one": self.one,
            "read_word": lambda _config: self.word,
            "has_cluster_database": lambda _session: True,
            "was_primary": lambda _timeline: False,
            "peer_says_down": lambda _session: self.told_down,
            "read_operation": lambda: None,
            "control_data": lambda _server: ControlData("in archive recovery", "0/3000028", 1, "7", False, True),
            "find_outvoter": lambda *_arguments: None,
            "connect_peer": self.connect_peer,
            "in_recovery": lambda _session: bool(self.peer),
            "ask_port": lambda address, _port: self.ports.get(address, "silent"),
            "run": self.ping,
        }
        for name, function in replaced.items():
            monkeypatch.setattr(_evidence, name, function)
        monkeypatch.setattr(_endpoint, "holds", lambda _endpoint: self.held_here)
        monkeypatch.setattr(_endpoint, "probe", lambda _endpoint: "02:00:00:00:00:02")

    def one(self, _session: object, query: str) -> Any:
        return next(value for word, value in self.values.items() if word in query)

    def connect_peer(self, _config: object, timeout: float) -> Session:
        assert timeout < _evidence.TOTAL_S
        if isinstance(self.peer, Exception):
            raise self.peer
        return Session("node2")

    def ping(self, *_words: object, **_options: object) -> str:
        raise DeadlineError("'ping' did not end within 2 s.")

    def gather(self) -> dict[str, Any]:
        return _evidence.gather(CONFIG, Session("node1"))  # type: ignore[arg-type]


def test_silence_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    found = World(monkeypatch).gather()
    assert found["there"] == {
        "port": "silent",
        "session": "none",
        "problem": "PostgreSQL on node2 does not answer: timed out",
        "ping": False,
    }
    assert found["endpoint"] == {"held_here": False, "holder": "02:00:00:00:00:02", "port": "silent"}
    assert (found["node"], found["peer"], found["control"]) == ("node1", "node2", None)
    assert found["local"]["role"] == "secondary" and found["local"]["last_message"] is None


def test_a_writer_and_a_standby(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.ports = {CONFIG.peer_address: "open"}
    world.peer = False
    assert world.gather()["there"]["session"] == "writer"
    world.peer = True
    there = world.gather()["there"]
    assert (there["session"], there["lsn"], there["port"]) == ("standby", worlds.LSN, "open")


def test_the_own_endpoint_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.held_here, world.ports = True, {CONFIG.endpoint.address: "open"}
    assert world.gather()["endpoint"] == {"held_here": True, "holder": None, "port": "silent"}


@pytest.mark.parametrize(
    ("receive", "replay", "position", "streamed"),
    [
        ("0/3000000", "0/2FFFF00", "0/3000000", False),
        ("0/3000100", "0/2FFFF00", "0/3000100", True),
        (None, "0/2FFFF00", "0/2FFFF00", False),
        ("0/3000000", "0/3000050", "0/3000050", False),
        (None, None, None, False),
    ],
)
def test_how_far_this_node_has_come(
    monkeypatch: pytest.MonkeyPatch, receive: str | None, replay: str | None, position: str | None, streamed: bool
) -> None:
    world = World(monkeypatch)
    world.values["receive"], world.facts["replay_lsn"] = receive, replay
    local = world.gather()["local"]
    assert (local["received"], local["streamed"]) == (position, streamed)


def test_when_the_primary_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.facts["receiver"] = worlds.receiver("node1", "node2")
    monkeypatch.setattr(_evidence, "time", SimpleNamespace(time=lambda: 1000.0, monotonic=time.monotonic))
    local = world.gather()["local"]
    assert (local["last_message"], local["latest_end"], local["receiver"]) == (999.8, worlds.LSN, "streaming")
    world.facts["receiver"] = None
    monkeypatch.setattr(_evidence, "last_heard", lambda: 990.0)
    assert world.gather()["local"]["last_message"] == 990.0, "the agent remembers what the server has forgotten"


def test_a_writer_is_not_asked_what_only_a_standby_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.facts["in_recovery"] = False
    del world.values["receive"], world.values["paused"]
    assert world.gather()["local"]["role"] == "primary"


@pytest.mark.parametrize(
    ("record", "began"),
    [
        (None, False),
        ({"kind": "failover", "target": "node2", "step": "promote"}, True),
        ({"kind": "failover", "target": "node2", "step": "serve"}, True),
        ({"kind": "failover", "target": "node2", "step": "fence"}, False),
        ({"kind": "failover", "target": "node2"}, False),
        ({"kind": "failover", "target": "node1", "step": "promote"}, False),
        ({"kind": "switchover", "target": "node2", "step": "promote"}, False),
        ({"kind": "unreadable"}, False),
    ],
)
def test_a_takeover_that_was_interrupted(record: dict[str, Any] | None, began: bool) -> None:
    assert _evidence.began_to_take_over("node2", record) is began
