# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the agent looks for events and metrics, what it asks, and that nothing of it disturbs the agent."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _file_state, _notices, _spool
from ansible_collections.duet.backup_ha.plugins.module_utils._agent_decision import Seen
from ansible_collections.duet.backup_ha.plugins.module_utils._config import EventsConfig
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._file_state import State, write_state
from ansible_collections.duet.backup_ha.plugins.module_utils._notice_decision import Said
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

FOUND = {
    "streaming": True,
    "sync_state": "async",
    "lag_bytes": 0,
    "lag_seconds": 0.0,
    "wal_status": "reserved",
    "wal_kept_bytes": 0,
    "followed": None,
    "cap_mb": 100,
}
PRIMARY = Seen(1.0, "primary", timeline=3)


class Stage:
    """Around the notices: what the server answers, what was asked, and a folder for metrics."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.found: dict[str, Any] = dict(FOUND)
        self.asked: list[tuple[Any, ...]] = []
        self.ran: list[list[str]] = []
        self.now = 100.0
        self.record: dict[str, Any] | None = None
        (tmp_path / "node.crt").touch()
        monkeypatch.setattr(_notices, "TLS_DIRECTORY", tmp_path)
        monkeypatch.setattr(_notices, "rows", self.rows)
        monkeypatch.setattr(_notices, "run", self.run)
        monkeypatch.setattr(_notices, "read_operation", lambda: self.record)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.metrics = tmp_path / "metrics"
        config = replace(CONFIG, events=EventsConfig(metrics_directory=str(self.metrics)))
        self.notices = _notices.Notices(config)

    def rows(self, _session: object, _query: str, *parameters: Any) -> list[dict[str, Any]]:
        self.asked.append(parameters)
        return [self.found]

    def run(self, argv: list[str], **_options: Any) -> str:
        self.ran.append(argv)
        return "notAfter=Nov 20 07:00:00 2096 GMT\n"

    def look(self, seen: Seen = PRIMARY, session: Any = object()) -> list[str]:  # noqa: B008
        """The kinds of the events that came of it."""
        before = set(_spool.waiting())
        self.notices.after(seen, session)
        return [(_spool.read(path) or {})["kind"] for path in _spool.waiting() if path not in before]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


def test_it_looks_every_ten_seconds_and_at_once_when_the_role_is_another(stage: Stage) -> None:
    assert stage.look() == []
    assert stage.asked == [("node2", "backup_ha_node2")]
    stage.now += 9.0
    stage.look()
    assert len(stage.asked) == 1
    stage.now += 1.0
    stage.look()
    assert len(stage.asked) == 2
    assert stage.look(
        PRIMARY._replace(timeline=4) if hasattr(PRIMARY, "_replace") else replace(PRIMARY, timeline=4)
    ) == ["role_changed"]
    assert stage.look(Seen(1.0, "secondary")) == ["role_changed"]
    assert len(stage.asked) == 4
    stage.look(Seen(1.0, "secondary"))
    assert len(stage.asked) == 4


def test_a_server_that_does_not_answer_is_not_asked(stage: Stage) -> None:
    stage.metrics.mkdir()
    assert stage.look(Seen(1.0, "none"), None) == []
    assert stage.asked == []
    assert 'backup_ha_role{role="none"} 1' in (stage.metrics / "backup-ha.prom").read_text("utf-8")


def test_metrics_are_for_everybody_and_only_where_they_are_wanted(stage: Stage) -> None:
    stage.look()
    assert not stage.metrics.exists()
    stage.metrics.mkdir()
    stage.now += 10
    stage.look()
    (file,) = stage.metrics.iterdir()
    assert file.name == "backup-ha.prom" and stat.S_IMODE(file.stat().st_mode) == 0o644
    text = file.read_text("utf-8")
    assert "backup_ha_wal_kept_limit_bytes 104857600\n" in text
    assert 'backup_ha_certificate_expiry_timestamp_seconds{certificate="certificate"} ' in text


@pytest.mark.parametrize("directory", ["", "/no/such/folder"])
def test_no_folder_no_metrics(stage: Stage, directory: str) -> None:
    stage.notices._config = replace(CONFIG, events=EventsConfig(metrics_directory=directory))
    stage.look()


def test_what_was_said_outlives_the_agent(stage: Stage) -> None:
    stage.found.update(wal_status="extended", wal_kept_bytes=90 * 1024 * 1024)
    assert stage.look() == ["wal_half"]
    stage.notices = _notices.Notices(CONFIG)
    assert stage.look() == []
    stage.found.update(wal_status="lost", wal_kept_bytes=None)
    stage.now += 10
    assert stage.look() == ["wal_lost"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"expiring": []', '{"expiring": [], "of a later version": 1}'])
def test_what_can_t_be_read_begins_anew(text: str) -> None:
    _notices.SAID_PATH.write_text(text, "utf-8")
    assert _notices.read_said() == Said()


def test_it_is_written_only_when_it_changes(stage: Stage) -> None:
    stage.look()
    assert json.loads(_notices.SAID_PATH.read_text("utf-8"))["role"] == "primary"
    _notices.SAID_PATH.unlink()
    stage.now += 10
    stage.look()
    assert not _notices.SAID_PATH.exists()


def test_a_certificate_is_read_again_when_it_is_another_one(stage: Stage, tmp_path: Path) -> None:
    for _number in range(3):
        stage.now += 10
        stage.look()
    assert len(stage.ran) == 1 and stage.ran[0][0] == "openssl"
    (tmp_path / "ca.crt").touch()
    stage.now += 10
    stage.look()
    assert len(stage.ran) == 2


@pytest.mark.parametrize("error", [BackupHaError("It is broken."), OSError(28, "No space left"), ValueError("odd")])
def test_a_problem_is_said_once_and_ends_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def broken(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(_notices, "rows", broken)
    for _number in range(3):
        stage.now += 10
        stage.look()
    assert capsys.readouterr().err.count("Events and metrics: ") == 1


def test_an_operation_that_was_interrupted(stage: Stage) -> None:
    stage.record = {"id": "duet-7", "kind": "switchover", "by": "root@control", "renewed": time.time(), "boot": "x"}
    assert stage.look() == ["operation_ended"]
    stage.record = {**stage.record, "id": ""}  # one that can't be read
    assert _notices.left_over() is None


@pytest.mark.parametrize(
    ("kind", "copied", "renewed"),
    [("assemble", True, 1), ("rejoin", True, 1), ("switchover", True, 0), ("assemble", False, 0), (None, True, 0)],
)
def test_what_copies_this_node_is_under_way(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, kind: str | None, copied: bool, renewed: int
) -> None:
    done: list[str] = []
    monkeypatch.setattr(_notices, "renew", lambda: done.append("renewed"))
    stage.record = {"id": "", "kind": kind} if kind else None
    stage.found["copied"] = copied
    stage.look()
    assert len(done) == renewed


def test_files_that_are_not_replicated_are_counted(stage: Stage) -> None:
    stage.metrics.mkdir()

    def metric() -> str:
        stage.now += 10
        stage.look()
        text = (stage.metrics / _notices.METRICS_FILE).read_text("utf-8")
        return "".join(line.split()[1] for line in text.splitlines() if line.startswith("backup_ha_config_drift_files"))

    assert metric() == "", "nobody has looked yet"
    write_state(State(said={"/etc/a": "too large", "/etc/b": "a socket"}))
    assert metric() == "2"
    write_state(State())
    os.utime(_file_state.STATE_PATH, (1, 1))
    assert metric() == "0"


def test_who_should_have_taken_events_up_is_started_again(stage: Stage) -> None:
    _spool.put({"id": "5f0c", "at": time.time(), "kind": "wal_half"})
    stage.look()
    assert [argv[0] for argv in stage.ran] == ["openssl"]
    _spool.put({"id": "5f0d", "at": time.time() - 60, "kind": "wal_half"})
    stage.now += 10
    stage.look()
    assert stage.ran[-1][:3] == ["systemctl", "start", "--no-block"]


@pytest.mark.parametrize(("megabytes", "size"), [(None, None), (-1, None), (0, 0), (64, 67108864)])
def test_the_cap(megabytes: int | None, size: int | None) -> None:
    assert _notices.cap_in_bytes(megabytes) == size
