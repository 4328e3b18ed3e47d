# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes before the stop of the primary: in time, or abandoned while it serves."""

from __future__ import annotations

import os
from typing import Any

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _prelude, _stop_measure
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    BackupHaError,
    DeadlineError,
    RefusedError,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._prelude import Budget, Terms
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

NO_ARCHIVE = {"mode": "off", "waiting": 0}


class Clock:
    """Time that passes only when something takes it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Server:
    """A session: checkpoints take these seconds, and are cancelled as the server cancels them."""

    def __init__(self, clock: Clock, *seconds: float) -> None:
        self.clock, self.seconds, self.closed = clock, list(seconds), False
        self.timeout = 0.0

    def execute(self, statement: str, *_parameters: object) -> None:
        words = statement.split()
        if words[:2] == ["SET", "statement_timeout"] and words[3].isdigit():
            self.timeout = int(words[3]) / 1000
        if statement == "CHECKPOINT":
            takes = self.seconds.pop(0)
            self.clock.sleep(min(takes, self.timeout))
            if takes > self.timeout:
                raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (_prelude, _stop_measure):
        monkeypatch.setattr(module, "time", made)
    return made


def prepared(monkeypatch: pytest.MonkeyPatch, server: Server, archive: dict[str, Any] | None = None) -> None:
    monkeypatch.setattr(_prelude, "connect_local", lambda _server: server)
    monkeypatch.setattr(_prelude, "archive_file_s", lambda _directory: 2.0)
    monkeypatch.setattr(_prelude, "observe_waits", lambda _connection: (archive or NO_ARCHIVE, []))


def budget(clock: Clock, deadline: float, timeout: float = 30.0) -> Budget:
    return Budget(Terms(timeout, deadline), began=clock.now)


def test_both_checkpoints_are_written_and_the_second_tells_of_the_stop(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    prepared(monkeypatch, Server(clock, 40.0, 0.5))
    spent = budget(clock, 100.0)
    forecast = _prelude.flush(CONFIG, spent)
    assert forecast.checkpoint_s == 0.5
    assert [what for what, _seconds in spent.spent] == ["checkpoint 1", "checkpoint 2"]
    assert spent.reserve == pytest.approx(forecast.without_writer_s)
    assert spent.allowed == pytest.approx(100.0 - 40.5 - 0.65)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ((60.0,), ["checkpoint 1 of 2 before the stop of node1", "20 s that were left for it", "20 s were left for"]),
        ((5.0, 60.0), ["checkpoint 2 of 2", "15 s that were left", "Before, checkpoint 1 took 5.0 s."]),
        ((19.85, 1.0), ["checkpoint 2 of 2", "0.00 s that were left"]),
    ],
)
def test_a_checkpoint_that_takes_too_long_is_abandoned(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: tuple[float, ...], words: list[str]
) -> None:
    server = Server(clock, *seconds)
    prepared(monkeypatch, server)
    began = clock.now
    with pytest.raises(DeadlineError) as raised:
        _prelude.flush(CONFIG, budget(clock, 20.0))
    for word in [*words, "backup_ha_switchover_deadline", "allow more time"]:
        assert word in str(raised.value)
    assert clock.now - began <= 20.0
    assert server.closed


def test_a_stop_that_would_take_too_long_is_refused(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    prepared(monkeypatch, Server(clock, 0.1, 0.1), {"mode": "on", "waiting": 4})
    with pytest.raises(RefusedError) as refused:
        _prelude.flush(CONFIG, budget(clock, 100.0, timeout=5.0))
    assert "10 s for 5 WAL files" in refused.value.reasons[0]
    assert refused.value.details["forecast"]["archive_files"] == 5


@pytest.mark.parametrize(("known", "expected"), [(None, 2.0), (0.5, 2.0), (3.0, 3.0)])
def test_what_the_caller_knows_of_the_archiver_counts(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, known: float | None, expected: float
) -> None:
    prepared(monkeypatch, Server(clock, 0.1, 0.1), {"mode": "on", "waiting": 0})
    spent = Budget(Terms(archive_file_s=known), began=clock.now)
    assert _prelude.flush(CONFIG, spent).archive_s == expected


def test_a_session_that_breaks_is_no_deadline(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    server = Server(clock)

    def breaks(_statement: str) -> None:
        server.closed = True
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(server, "execute", breaks)
    prepared(monkeypatch, server)
    with pytest.raises(psycopg.OperationalError):
        _prelude.flush(CONFIG, budget(clock, 20.0))


@pytest.mark.parametrize("failing", [DeadlineError("'systemctl stop' did not end within 9 s."), None])
def test_the_workload_gets_what_the_stop_leaves(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, failing: DeadlineError | None
) -> None:
    given: list[float] = []

    def systemctl(_verb: str, *_units: str, timeout: float) -> None:
        given.append(timeout)
        if failing:
            raise failing

    monkeypatch.setattr(_prelude, "systemctl", systemctl)
    spent = budget(clock, 10.0)
    spent.reserve = 1.0
    if failing:
        with pytest.raises(DeadlineError, match=r"The workload on node1 \(bacula-director.service\) did not stop in"):
            _prelude.stop_workload(CONFIG, spent)
    else:
        _prelude.stop_workload(CONFIG, spent)
    assert given == [9.0]


def test_without_time_the_workload_is_not_stopped(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(_prelude, "systemctl", lambda *_words, **_options: pytest.fail("stopped"))
    spent = budget(clock, 10.0)
    clock.sleep(11.0)
    with pytest.raises(DeadlineError, match=r"0\.00 s that were left"):
        _prelude.stop_workload(CONFIG, spent)


@pytest.mark.parametrize("ends", [True, False])
def test_streams_are_told_until_they_end(monkeypatch: pytest.MonkeyPatch, clock: Clock, ends: bool) -> None:
    """Some end only when they are told again, and some come back meanwhile."""
    foreign, other = {"name": "foreign"}, {"name": "barman"}
    told = iter([[foreign], [foreign, other], []])
    monkeypatch.setattr(_prelude, "connect_local", lambda _server: Server(clock))
    monkeypatch.setattr(_prelude, "rows", lambda *_words: next(told) if ends else [foreign])
    if ends:
        assert _prelude.end_streams(CONFIG) == ["barman", "foreign"]
        return
    with pytest.raises(BackupHaError, match=r"node1 to others does not end \(foreign\)"):
        _prelude.end_streams(CONFIG)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("active", ["start"]),
        ("inactive", ["start"]),
        ("deactivating", ["kill --signal=KILL bacula-director.service", "start"]),
    ],
)
def test_the_workload_is_started_again(monkeypatch: pytest.MonkeyPatch, state: str, expected: list[str]) -> None:
    done: list[str] = []
    monkeypatch.setattr(_prelude, "unit_states", lambda units: {unit: {"active": state} for unit in units})
    monkeypatch.setattr(
        _prelude, "systemctl", lambda verb, *words: done.append(" ".join([verb, *(words if verb == "kill" else [])]))
    )
    _prelude.serve_on(CONFIG)
    assert done == expected


def test_what_can_be_measured_is_measured(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(_stop_measure, "connect_local", lambda _server: Server(clock, 2.0, 0.5))
    monkeypatch.setattr(_stop_measure, "archive_file_s", lambda _directory: None)
    monkeypatch.setattr(_stop_measure, "last_stop_s", lambda _units: 0.3)
    found = _stop_measure.measure_stop(CONFIG, writer=True, patience=5.0)
    assert found == {"flush_s": 2.5, "checkpoint_s": 0.5, "archive_file_s": None, "workload_s": 0.3}
    assert _stop_measure.measure_stop(CONFIG, writer=False, patience=5.0)["flush_s"] is None


@pytest.mark.parametrize("seconds", [(9.0,), (4.0, 9.0), (5.0, 0.1)])
def test_what_does_not_end_in_time_is_not_known(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: tuple[float, ...]
) -> None:
    monkeypatch.setattr(_stop_measure, "connect_local", lambda _server: Server(clock, *seconds))
    monkeypatch.setattr(_stop_measure, "archive_file_s", lambda _directory: None)
    monkeypatch.setattr(_stop_measure, "last_stop_s", lambda _units: None)
    found = _stop_measure.measure_stop(CONFIG, writer=True, patience=5.0)
    assert (found["flush_s"], found["checkpoint_s"]) == (5.0, None)


def test_archived_files_tell_how_long_one_takes(tmp_path: Any) -> None:
    status = tmp_path / "pg_wal/archive_status"
    status.mkdir(parents=True)
    assert _stop_measure.archive_file_s(str(tmp_path)) is None
    archived = status / "000000010000000000000001.done"
    archived.touch()
    ready_at = archived.stat().st_ctime - 20
    os.utime(archived, (ready_at, ready_at))
    (status / "000000010000000000000002.other").touch()
    assert _stop_measure.archive_file_s(str(tmp_path)) == pytest.approx(20, abs=2)
    (status / "000000010000000000000003.ready").touch()
    assert _stop_measure.archive_file_s(str(tmp_path)) == pytest.approx(20, abs=2)


STOP = "InactiveEnterTimestampMonotonic={ended}\nActiveExitTimestampMonotonic={began}\n"


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [
        ("", None),
        (STOP.format(began=0, ended=0), None),
        (STOP.format(began=2_000_000, ended=1_000_000), None),  # it stops at this moment
        (STOP.format(began=1_000_000, ended=1_250_000), 0.25),
        (STOP.format(began=1, ended=2_000_001) + "\n" + STOP.format(began=1, ended=500_001), 2.0),
    ],
)
def test_the_workloads_last_stop(shown: str, seconds: float | None) -> None:
    assert _stop_measure.stop_duration(shown) == seconds


def test_without_units_nothing_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stop_measure, "run", lambda _argv: STOP.format(began=1, ended=1_000_001))
    assert _stop_measure.last_stop_s(()) is None
    assert _stop_measure.last_stop_s(CONFIG.workload.units) == 1.0
