# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage for the critical section: both nodes without servers, to break it at every step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _endpoint, _handover, _progress
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig, parse_config
from ansible_collections.duet.backup_ha.plugins.module_utils._control import ControlData
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._forecast import Forecast
from ansible_collections.duet.backup_ha.plugins.module_utils._grant import ARMED, GRANT, TAKEN
from ansible_collections.duet.backup_ha.plugins.module_utils._prelude import Budget

CONFIG: NodeConfig = parse_config(
    {
        "cluster": "duet",
        "node": "node1",
        "address": "198.18.0.11",
        "peer": {"node": "node2", "address": "198.18.0.12"},
        "postgresql": {"version": "15", "cluster": "main", "port": 5432, "data_directory": "/nowhere"},
        "endpoint": {"address": "198.18.0.10", "prefix": 24, "interface": "eth0", "name": ""},
        "workload": {"name": "bacula", "units": ["bacula-director.service"]},
    }
)


# Functions that do nothing here but be noted as an event.
NOTED = (
    "serve_on",
    "stop_workload",
    "write_standby_signal",
    "drop_slot",
    "forget_having_been_primary",
    "await_replay",
)


class Session:
    """A session that only knows which server it leads to."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.closed = False

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_error: object) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True


class Stage:
    """Both nodes as the giving one sees them. ``events`` tells in which order it did what; ``fails`` what broke."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **fails: Exception) -> None:
        self.events: list[str] = []
        self.fails = fails
        self.journal: dict[str, str] = {}  # each step, and what had happened last when it was written down
        self.full_disk_at = ""  # the step that can't be written down
        self.now = 0.0
        self.state = "in production"
        self.recovering = {"node1": False, "node2": True}
        self.stops_in_time = True
        self.reachable_again = True
        self.resumed = "promoted"
        self.locks = {ARMED, TAKEN}
        self.granted = True
        self._replace(monkeypatch)

    def _replace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in NOTED:
            monkeypatch.setattr(_handover, name, lambda *_arguments, event=name: self.did(event))
        monkeypatch.setattr(_handover, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))
        monkeypatch.setattr(_endpoint, "delete", lambda _endpoint: self.did("release_endpoint"))
        replaced: dict[str, Any] = {
            "remember_being_primary": lambda _config: None,
            "connect_peer": self.connect_peer,
            "connect_local": lambda _server: Session("node1"),
            "wait_for_session": lambda *_arguments, **_options: Session("node1"),
            "postmaster_pid": lambda _server: None if self.state.startswith("shut down") else 42,
            "control_data": lambda _server: ControlData(self.state, "0/3000028", 1, "7", False, True),
            "in_recovery": lambda session: self.recovering[session.server],
            "locks_held": lambda _session: self.locks,
            "try_lock": lambda _session, key: key == GRANT and self.granted,
            "flush": self.flush,
            "end_streams": self.end_streams,
            "stop_fast": self.stop_fast,
            "stop_at_once": self.stop_at_once,
            "start_server": self.start_server,
            "request_promotion": self.request_promotion,
            "wait_until_writer": lambda _session: self.did("wait_until_writer"),
            "resume": self.resume,
        }
        for name, function in replaced.items():
            monkeypatch.setattr(_handover, name, function)
        monkeypatch.setattr(_progress, "advance", self.advance)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def did(self, event: str) -> None:
        self.events.append(event)
        if event in self.fails:
            raise self.fails[event]

    def advance(self, step: str) -> None:
        if step == self.full_disk_at:
            raise OSError("No space left on device")
        self.journal[step] = self.events[-1] if self.events else ""

    def connect_peer(self, _config: NodeConfig) -> Session:
        if "request_promotion" in self.events and not self.reachable_again:
            raise UnreachableError("PostgreSQL on node2 does not answer")
        return Session("node2")

    def flush(self, config: NodeConfig, budget: Budget) -> Forecast:
        self.did("flush")
        budget.reserve = 1.0
        return Forecast(config.node, checkpoint_s=0.5)

    def end_streams(self, _config: NodeConfig) -> list[str]:
        self.did("end_streams")
        return ["pg_receivewal"]

    def stop_fast(self, _server: object, *_timeout: float) -> bool:
        self.did("stop_primary")
        if self.stops_in_time:
            self.state = "shut down" if self.state == "in production" else self.state
        return self.stops_in_time

    def stop_at_once(self, _server: object, **_timeout: float) -> bool:
        if self.state == "in production":
            self.did("stop_at_once")
            self.state = "crashed"
        return True

    def start_server(self, _server: object) -> None:
        assert self.state != "in production", "started although it has not ended"
        self.did("start_server")
        self.state, self.recovering["node1"] = "in archive recovery", True

    def request_promotion(self, _session: Session) -> None:
        assert self.state == "shut down", "promoted while this node may still write"
        self.did("request_promotion")
        self.recovering["node2"] = False

    def resume(self, _config: NodeConfig, patience: float, alone: bool) -> str:
        assert patience > 0 and alone
        assert "request_promotion" not in self.events, "served again although the other node was told to serve"
        self.did("resume")
        return self.resumed
