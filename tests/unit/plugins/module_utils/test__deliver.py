# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events reach the primary's database from either node, and the hook whatever it does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _deliver, _spool
from ansible_collections.duet.backup_ha.plugins.module_utils._config import EventsConfig, NodeConfig
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._postgres import SessionError
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG


def config_with(*words: str, seconds: float = 5.0) -> NodeConfig:
    return replace(CONFIG, events=EventsConfig(hook=words, hook_timeout=seconds))


def event(number: int) -> dict[str, Any]:
    return {"id": f"5f0c{number}", "at": float(number), "kind": "wal_half", "message": "It fills.", "details": {}}


class Cluster:
    """Both servers: who answers, who accepts writes, and what was written where."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writer = "node1"
        self.silent: set[str] = set()
        self.breaks: list[str] = []
        self.stored: list[tuple[str, str]] = []
        monkeypatch.setattr(_deliver, "connect_cluster_database", lambda _server: self.connect("node1"))
        monkeypatch.setattr(_deliver, "connect_peer", lambda _config, dbname: self.connect("node2", dbname))
        monkeypatch.setattr(_deliver, "in_recovery", lambda session: session.name != self.writer)
        monkeypatch.setattr(_deliver, "_insert", self.insert)

    def connect(self, name: str, dbname: str = "backup_ha") -> Any:
        assert dbname == "backup_ha"
        if name in self.silent:
            raise UnreachableError(f"{name} does not answer.")
        return Session(name)

    def insert(self, session: Any, event: dict[str, Any]) -> None:
        if event["id"] in self.breaks:
            self.breaks.remove(event["id"])
            raise SessionError("server closed the connection")
        self.stored.append((session.name, event["id"]))


class Session(SimpleNamespace):
    def __init__(self, name: str) -> None:
        super().__init__(name=name)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def until(change: Callable[[], None], after: int = 3) -> Callable[[float], None]:
    """A sleep that does something after a while, and never lets a test run for ever."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(0.01)
        if len(slept) == after:
            change()
        assert len(slept) < 2000, "it never ends"

    return sleep


@pytest.mark.parametrize("writer", ["node1", "node2"])
def test_they_go_to_whoever_accepts_writes_in_their_order(cluster: Cluster, writer: str) -> None:
    cluster.writer = writer
    for number in (1, 2, 3):
        _spool.put(event(number))
    _deliver.deliver(CONFIG)
    assert cluster.stored == [(writer, f"5f0c{number}") for number in (1, 2, 3)]
    assert _spool.is_empty()


def test_a_local_server_that_is_down_does_not_keep_them(cluster: Cluster) -> None:
    cluster.silent, cluster.writer = {"node1"}, "node2"
    _spool.put(event(1))
    _deliver.deliver(CONFIG)
    assert cluster.stored == [("node2", "5f0c1")]


@pytest.mark.parametrize("silent", [{"node1", "node2"}, {"node2"}, set[str]()])
def test_without_a_primary_they_wait_and_that_is_said_once(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, silent: set[str]
) -> None:
    monkeypatch.setattr(_deliver, "PAUSE_S", 0.01)
    monkeypatch.setattr(_deliver, "LONGEST_PAUSE_S", 0.02)
    cluster.silent, cluster.writer = silent, "nobody"
    _spool.put(event(1))

    def come_back() -> None:
        assert cluster.stored == [] and len(_spool.waiting()) == 1
        cluster.silent, cluster.writer = set(), "node1"

    _deliver.deliver(CONFIG, until(come_back, after=10))
    assert cluster.stored == [("node1", "5f0c1")]
    assert capsys.readouterr().err.count("Events wait for the database") == 1


def test_a_session_that_breaks_loses_none_and_repeats_none(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_deliver, "PAUSE_S", 0.01)
    cluster.breaks = ["5f0c2"]
    for number in (1, 2, 3):
        _spool.put(event(number))
    _deliver.deliver(CONFIG, until(lambda: None))
    assert [identity for _node, identity in cluster.stored] == ["5f0c1", "5f0c2", "5f0c3"]


def test_the_database_is_asked_less_and_less_often() -> None:
    pace = _deliver.Pace()
    pauses = []
    for _number in range(10):
        pace.failed(100.0)
        pauses.append(pace.next_at - 100.0)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    pace.worked()
    assert pace == _deliver.Pace()


def collecting(tmp_path: Path) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"cat >> {tmp_path}/got")


def test_the_hook_gets_each_once_as_json(cluster: Cluster, tmp_path: Path) -> None:
    for number in (1, 2):
        _spool.put(event(number))
    _deliver.deliver(config_with(*collecting(tmp_path)))
    lines = [json.loads(line) for line in (tmp_path / "got").read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines] == ["5f0c1", "5f0c2"]
    assert (lines[0]["at"], lines[0]["message"]) == ("1970-01-01T00:00:01.000Z", "It fills.")
    assert len(cluster.stored) == 2 and _spool.is_empty()


def test_the_hook_does_not_wait_for_a_primary(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_deliver, "PAUSE_S", 0.01)
    cluster.writer = "nobody"
    _spool.put(event(1))

    def come_back() -> None:
        assert "5f0c1" in (tmp_path / "got").read_text("utf-8")
        cluster.writer = "node1"

    _deliver.deliver(config_with(*collecting(tmp_path)), until(come_back))
    assert (tmp_path / "got").read_text("utf-8").count("5f0c1") == 1


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo no relay >&2; exit 3", "/bin/sh ended with 3: no relay"),
        ("exit 3", "/bin/sh ended with 3: "),
        ("sleep 60 & sleep 60", "/bin/sh did not end within 0.2 s"),
        ("exec <&-; sleep 0.1", ""),
    ],
)
def test_why_a_hook_failed(script: str, why: str) -> None:
    began = time.monotonic()
    assert _deliver.call_hook(config_with("/bin/sh", "-c", script, seconds=0.2), event(1)) == why
    assert time.monotonic() - began < 30


def test_a_hook_that_is_not_there() -> None:
    assert "No such file" in _deliver.call_hook(config_with("/no/such/hook"), event(1))


def test_its_failure_is_said_once_until_it_works(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = config_with("/bin/sh", "-c", f"exec test ! -e {tmp_path}/broken")
    for number, broken in enumerate((True, True, False, True), 1):
        (tmp_path / "broken").touch() if broken else (tmp_path / "broken").unlink()
        _spool.put(event(number))
        _deliver.deliver(hook)
    assert capsys.readouterr().err.count("The event hook has failed") == 2
    assert len(cluster.stored) == 4, "whatever the hook does"


def test_a_file_that_holds_no_event_keeps_nobody_busy(
    cluster: Cluster, spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spool.put(event(2))
    broken = spool / "000000000001000-5f0c.json"
    broken.write_text("{", "utf-8")
    _deliver.deliver(config_with(*collecting(tmp_path)), until(lambda: monkeypatch.setattr(_spool, "STALE_S", -1.0)))
    assert cluster.stored == [("node1", "5f0c2")] and _spool.is_empty()
