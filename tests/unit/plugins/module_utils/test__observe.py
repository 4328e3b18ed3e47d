# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's role and its lag, also when its server lets nobody in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _endpoint, _observe
from ansible_collections.duet.backup_ha.plugins.module_utils._config import (
    AGENT_UNIT,
    PRIMARY_TARGET,
    REJOIN_UNIT,
    Postgresql,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._control import ControlData
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._observe import observe_postgresql, role_of, standby_lag
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

AHEAD, BEHIND = "0/3000100", "0/3000000"


def receiver(end: str | None) -> dict[str, Any]:
    return {"status": "streaming", "latest_end_lsn": end}


@pytest.mark.parametrize(
    ("received", "replayed", "wal_receiver", "lag"),
    [
        pytest.param(AHEAD, AHEAD, receiver(AHEAD), 0, id="in step"),
        pytest.param(AHEAD, BEHIND, receiver(AHEAD), 256, id="replay is behind"),
        pytest.param(BEHIND, BEHIND, receiver(AHEAD), 256, id="the primary's end is known to be further"),
        pytest.param(AHEAD, BEHIND, receiver(BEHIND), 256, id="what was received counts as well"),
        pytest.param(AHEAD, BEHIND, None, 256, id="without a receiver"),
        pytest.param(AHEAD, BEHIND, receiver(None), 256, id="a receiver that knows no end yet"),
        pytest.param(BEHIND, AHEAD, None, 0, id="replayed from the own WAL"),
        pytest.param(None, BEHIND, receiver(AHEAD), 256, id="nothing received yet"),
        pytest.param(None, BEHIND, None, None, id="nothing known"),
        pytest.param(AHEAD, None, None, None, id="nothing replayed"),
    ],
)
def test_lag(received: str | None, replayed: str | None, wal_receiver: dict[str, Any] | None, lag: int | None) -> None:
    assert standby_lag(received, replayed, wal_receiver) == lag


@pytest.mark.parametrize(
    ("database", "role"),
    [
        ({"running": True, "in_recovery": False}, "primary"),
        ({"running": True, "in_recovery": True}, "secondary"),
        ({"running": False}, "stopped"),
        ({"running": False, "in_recovery": False}, "stopped"),
        ({}, "stopped"),
    ],
)
def test_role(database: dict[str, Any], role: str) -> None:
    assert role_of(database) == role


SERVER = Postgresql("15", "main", 5432, "/nowhere")
FULL = UnreachableError("The local PostgreSQL does not answer: FATAL:  sorry, too many clients already")
NO_DRIVER = BackupHaError("python3-psycopg is not installed on this server.")
BROKEN = psycopg.OperationalError("server closed the connection unexpectedly\n\tThis probably means …")


class Session:
    """A session that is entered and left, and whose queries the test answers."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_error: object) -> None:
        pass


def observe(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    state: str | None,
    error: Exception | None,
    during_query: bool = False,
    starting: bool = False,
) -> dict[str, Any]:
    """A running server whose control file says ``state`` and that answers a session with this error."""

    def connect(_server: Postgresql) -> Session:
        if error and not during_query:
            raise error
        return Session()

    def replication(_session: Session) -> dict[str, Any]:
        if error:
            raise error
        return {"in_recovery": False, "lsn": AHEAD}

    if state:
        (tmp_path / "global").mkdir()
        (tmp_path / "global" / "pg_control").touch()
    monkeypatch.setattr(_observe, "postmaster_pid", lambda _server: 42)
    monkeypatch.setattr(_observe, "is_starting", lambda _server: starting)
    monkeypatch.setattr(_observe, "control_data", lambda _server: ControlData(state or "", AHEAD, 1, "7", False, True))
    monkeypatch.setattr(_observe, "connect_local", connect)
    monkeypatch.setattr(_observe, "observe_replication", replication)
    return observe_postgresql(Postgresql("15", "main", 5432, str(tmp_path)))


@pytest.mark.parametrize("error", [FULL, NO_DRIVER], ids=["no free connection", "no driver"])
@pytest.mark.parametrize(
    ("state", "role"),
    [
        ("in production", "primary"),
        ("in archive recovery", "secondary"),
        ("in crash recovery", "secondary"),
        ("shut down", "secondary"),
        (None, "secondary"),
    ],
)
def test_a_server_that_lets_nobody_in_is_what_its_control_file_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str | None, role: str, error: Exception
) -> None:
    found = observe(monkeypatch, tmp_path, state, error)
    assert role_of(found) == role
    assert (found["accepting"], found["problem"]) == (False, str(error))


def test_one_that_starts_is_a_standby_whatever_its_control_file_still_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A fresh copy's control file is the primary's; a crashed primary's is its own from before."""
    assert role_of(observe(monkeypatch, tmp_path, "in production", FULL, starting=True)) == "secondary"


def test_a_session_that_breaks_is_a_problem_and_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The server may stop between two queries."""
    found = observe(monkeypatch, tmp_path, "in production", BROKEN, during_query=True)
    assert role_of(found) == "primary"
    assert "server closed the connection unexpectedly" in found["problem"]
    assert not found["accepting"]


def test_a_server_that_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = observe(monkeypatch, tmp_path, "in production", None)
    assert (found["accepting"], found["problem"], found["lsn"]) == (True, None, AHEAD)
    assert found["control"]["state"] == "in production"


def test_a_server_that_does_not_run_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_observe, "postmaster_pid", lambda _server: None)
    found = observe_postgresql(SERVER)
    assert (found["running"], found["accepting"], found["control"], found["problem"]) == (False, False, None, None)
    assert role_of(found) == "stopped"


def test_a_server_that_is_no_node_can_be_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_observe, "read_operation", lambda: None)
    found = _observe.observe_node(None)
    assert (found["assembled"], found["role"], found["endpoint"], found["services"]) == (False, "none", None, {})


DIRECTOR = CONFIG.workload.units[0]
COUNT = ("count-jobs",)


@pytest.mark.parametrize(
    ("ask", "state", "command", "said", "jobs", "unknown"),
    [
        pytest.param(True, "active", COUNT, "2", 2, False, id="jobs run"),
        pytest.param(True, "active", COUNT, "0", 0, False, id="no jobs run"),
        pytest.param(True, "active", COUNT, None, None, True, id="it does not answer"),
        pytest.param(True, "active", COUNT, "perhaps", None, True, id="it says something else"),
        pytest.param(True, "active", (), None, None, False, id="it can't be asked"),
        pytest.param(True, "failed", COUNT, "2", None, False, id="it does not run"),
        pytest.param(False, "active", COUNT, "2", None, False, id="nobody asks"),
    ],
)
def test_jobs(
    monkeypatch: pytest.MonkeyPatch,
    ask: bool,
    state: str,
    command: tuple[str, ...],
    said: str | None,
    jobs: int | None,
    unknown: bool,
) -> None:
    monkeypatch.setattr(_observe, "read_operation", lambda: None)
    monkeypatch.setattr(_observe, "observe_postgresql", lambda _server: {"running": True, "in_recovery": False})
    monkeypatch.setattr(_endpoint, "holds", lambda _endpoint: True)
    monkeypatch.setattr(_observe, "_say", lambda words: said if words == COUNT else None)
    states = {DIRECTOR: {"active": state}, PRIMARY_TARGET: {"active": "active"}}
    agents = {AGENT_UNIT: {"active": "active"}, REJOIN_UNIT: {"active": "inactive"}}
    monkeypatch.setattr(_observe, "unit_states", lambda _units: {**states, **agents})
    config = replace(CONFIG, workload=replace(CONFIG.workload, jobs_command=command))
    found = _observe.observe_node(config, ask_jobs=ask)
    assert (found["jobs"], found["jobs_unknown"]) == (jobs, unknown)
