# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known of a server and of a session without one."""

from __future__ import annotations

import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _errors, _postgres
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Postgresql
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    BackupHaError,
    DeadlineError,
    UnreachableError,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG


def server(directory: Path) -> Postgresql:
    return Postgresql("15", "main", 5432, str(directory))


@pytest.fixture
def postmaster(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that was started over this directory and wrote its pid file, as the postmaster does."""
    code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL); print(flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", code, "-D", str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        (tmp_path / "postmaster.pid").write_text(f"{process.pid}\n{tmp_path}\n1795364819\n5432\n", encoding="ascii")
        yield process
        process.kill()


def test_a_running_server_is_found(tmp_path: Path, postmaster: subprocess.Popen[bytes]) -> None:
    assert _postgres.postmaster_pid(server(tmp_path)) == postmaster.pid


def test_a_number_that_another_process_has_got_is_no_server(
    tmp_path: Path, postmaster: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "postmaster.pid").write_text(f"{postmaster.pid}\n", encoding="ascii")
    assert _postgres.postmaster_pid(server(tmp_path / "other")) is None


@pytest.mark.parametrize("content", ["", "no number\n", "999999999\n"])
def test_a_stale_pid_file_is_no_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "postmaster.pid").write_text(content, encoding="ascii")
    assert _postgres.postmaster_pid(server(tmp_path)) is None


def test_without_a_pid_file_there_is_no_server(tmp_path: Path) -> None:
    assert _postgres.postmaster_pid(server(tmp_path)) is None
    assert _postgres.stop_fast(server(tmp_path), timeout=1) is True


def test_a_fast_stop_is_an_interrupt_to_the_postmaster(tmp_path: Path, postmaster: subprocess.Popen[bytes]) -> None:
    assert _postgres.stop_fast(server(tmp_path), timeout=10) is True
    assert postmaster.wait() == -signal.SIGINT


def test_every_later_start_is_a_standby_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_postgres, "SUPERUSER", pwd.getpwuid(tmp_path.stat().st_uid).pw_name)
    for _time in range(2):
        _postgres.write_standby_signal(server(tmp_path))
    assert (tmp_path / "standby.signal").stat().st_mode & 0o777 == 0o600


def test_sessions_to_the_other_node_are_verified_both_ways() -> None:
    found = _postgres.peer_parameters(CONFIG)
    assert (found["host"], found["port"], found["user"]) == ("198.18.0.12", 5432, "backup_ha")
    assert found["sslmode"] == "verify-full"
    assert {Path(found[key]).name for key in ("sslrootcert", "sslcert", "sslkey")} == {"ca.crt", "node.crt", "node.key"}


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("socket.create_connection", refuse)
    with pytest.raises(
        UnreachableError, match=r"PostgreSQL on node2 \(198.18.0.12, port 5432\) does not answer: .*refused"
    ):
        _postgres.connect_peer(CONFIG)


def test_both_ends_notice_in_seconds_that_the_other_one_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that a node holds on the other one has to end soon after a power cut, else nobody could promote there."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr("socket.create_connection", lambda *_arguments, **_options: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr("psycopg.connect", lambda **options: asked.update(options))
    _postgres.connect_peer(CONFIG)
    there = dict(part.split("=") for part in asked["options"].split() if part != "-c")
    assert int(there["tcp_keepalives_idle"]) + 3 * int(there["tcp_keepalives_interval"]) <= 5
    assert int(there["tcp_keepalives_count"]) <= 3 and 0 < int(there["tcp_user_timeout"]) <= 5000
    assert asked["keepalives_idle"] + asked["keepalives_count"] * asked["keepalives_interval"] <= 5


def test_without_the_driver_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_postgres, "psycopg", None)
    with pytest.raises(BackupHaError, match="python3-psycopg is not installed"):
        _postgres.connect_local(CONFIG.postgresql)
    with pytest.raises(BackupHaError, match="python3-psycopg is not installed"):
        _postgres.connect_peer(CONFIG)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError("first\n\tsecond"), "first"),
        (OSError("\n\nfirst\nsecond"), "first"),
        (TimeoutError(), "TimeoutError"),
        (OSError("  "), "OSError"),
    ],
)
def test_the_first_line_of_an_error(error: BaseException, line: str) -> None:
    assert _errors.first_line(error) == line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BackupHaError("It is so."), "It is so."),
        (psycopg.errors.DiskFull("no space\nCONTEXT: x"), "PostgreSQL refused a statement: no space"),
        (
            psycopg.OperationalError("server closed the connection unexpectedly"),
            "A session to PostgreSQL broke: its server ended, or stands still, or the connection to it was lost.",
        ),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device."),
    ],
)
def test_what_a_person_reads_of_an_error(error: Exception, said: str) -> None:
    assert _errors.problem_of(error) == said


class Cursor:
    """A result with these columns and rows."""

    def __init__(self, columns: list[str] | None, *found: tuple[Any, ...]) -> None:
        self.description = [SimpleNamespace(name=name) for name in columns] if columns else None
        self.found = list(found)

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.found[0] if self.found else None

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.found)


class Connection:
    """A session that gives one answer, and remembers what it was asked."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.asked: list[tuple[str, Any]] = []

    def execute(self, query: str, parameters: Any = None) -> Cursor:
        self.asked.append((query, parameters))
        return self.cursor


def test_one_value() -> None:
    connection: Any = Connection(Cursor(["a", "b"], (1, 2), (3, 4)))
    assert _postgres.one(connection, "SELECT %s", "x") == 1
    assert connection.asked == [("SELECT %s", ("x",))]
    assert _postgres.one(Connection(Cursor(["a"])), "SELECT") is None  # type: ignore[arg-type]


def test_without_parameters_a_percent_sign_is_no_placeholder() -> None:
    connection: Any = Connection(Cursor(["a"], (1,)))
    _postgres.one(connection, "SELECT 'a' LIKE '%a'")
    assert connection.asked[0][1] is None


def test_rows_are_named_by_their_columns() -> None:
    connection: Any = Connection(Cursor(["a", "b"], (1, 2), (3, 4)))
    assert _postgres.rows(connection, "SELECT") == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert _postgres.rows(Connection(Cursor(None)), "SET") == []  # type: ignore[arg-type]


@pytest.mark.parametrize(("present", "created"), [(0, True), (1, False)])
def test_a_slot_is_made_once(present: int, created: bool) -> None:
    connection: Any = Connection(Cursor(["count"], (present,)))
    assert _postgres.ensure_slot(connection, "backup_ha_node2") is created
    assert len(connection.asked) == 1 + created


@pytest.mark.parametrize(
    ("lines", "starting"),
    [
        (["42", "/data", "1", "5432", "/run", "*", " 5955892 1", "ready   "], False),
        (["42", "/data", "1", "5432", "/run", "*", " 5955892 1", "starting"], True),
        (["42", "/data", "1", "5432", "/run", "*", " 5955892 1", "stopping"], False),
        (["42", "/data", "1", "5432"], True),
        (None, False),
    ],
)
def test_whether_a_server_still_starts(tmp_path: Path, lines: list[str] | None, starting: bool) -> None:
    if lines:
        (tmp_path / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert _postgres.is_starting(server(tmp_path)) is starting


class Unit:
    """PostgreSQL's unit as systemd sees it a while after the process has ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *states: str) -> None:
        self.states = list(states)
        self.started: list[tuple[str, ...]] = []
        self.now = 0.0
        monkeypatch.setattr(_postgres, "postmaster_pid", lambda _server: None)
        monkeypatch.setattr(_postgres, "unit_states", self.show)
        monkeypatch.setattr(_postgres, "systemctl", lambda *words, **_options: self.started.append(words))
        monkeypatch.setattr(_postgres, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))

    def show(self, units: list[str]) -> dict[str, dict[str, str]]:
        active, _slash, sub = (self.states.pop(0) if len(self.states) > 1 else self.states[0]).partition("/")
        return {units[0]: {"active": active, "sub": sub}}

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("states", [["inactive"], ["failed"], ["active", "deactivating", "inactive"]])
def test_a_start_waits_until_systemd_has_seen_the_end(monkeypatch: pytest.MonkeyPatch, states: list[str]) -> None:
    """Else systemd would take the start for superfluous."""
    unit = Unit(monkeypatch, *states)
    _postgres.start(CONFIG.postgresql)
    assert [(words[0], words[-1]) for words in unit.started] == [("start", "postgresql@15-main.service")]
    assert len(unit.states) == 1


def test_a_start_does_not_wait_for_the_restart_that_systemd_has_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Unit(monkeypatch, "active/running", "deactivating/stop", "activating/auto-restart")
    _postgres.start(CONFIG.postgresql)
    assert [words[0] for words in unit.started] == ["stop", "start"]


def test_a_start_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Unit(monkeypatch, "active")
    with pytest.raises(DeadlineError, match=r"did not see postgresql@15-main\.service end within 60 s"):
        _postgres.start(CONFIG.postgresql)
    assert unit.started == []
