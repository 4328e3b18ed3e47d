# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A takeover without servers, to break it at every step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _takeover
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._fence import Fence
from ansible_collections.duet.backup_ha.plugins.module_utils._grant import GRANT
from ansible_collections.duet.backup_ha.plugins.module_utils._takeover import Order, take_over
from ansible_collections.duet.backup_ha.tests.unit.plugins.evidences import Evidence
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session

ANYTHING = Order()


class Scene:
    """The node that takes over is node2 of the evidence; every attribute is one thing that a test changes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *gathered: Evidence, **fails: Exception) -> None:
        self.events: list[str] = []
        self.gathered = list(gathered)
        self.fails = fails
        self.now = 0.0
        self.recovering = {"local": True, "peer": True}
        self.locks = {"local": True, "peer": True}
        self.held: list[str] = []
        self.remembers = False
        self.fence: tuple[Fence | None, str] = (None, "")
        self.breaks_session = True
        self.history: dict[str, Any] = {}
        self.waiting = ""
        self.local = Session("local")
        replaced: dict[str, Any] = {
            "connect_local": lambda _server: self.local,
            "connect_peer": self.connect_peer,
            "in_recovery": lambda session: self.recovering[session.server],
            "try_lock": self.try_lock,
            "unlock": lambda session, _key: self.held.remove(session.server),
            "gather": self.gather,
            "find_fence": lambda: self.fence,
            "switch_off": lambda _fence, _config: self.did("fence"),
            "await_everything_replayed": lambda _connection, _config: self.did("replayed"),
            "was_primary": lambda: self.remembers,
            "remember_being_primary": lambda _config: self.did("remember"),
            "forget_having_been_primary": lambda: self.did("forget"),
            "request_promotion": lambda _connection: self.did("request"),
            "wait_until_writer": lambda _connection: self.did("writer"),
            "describe_waiting": lambda _config, _connection: self.waiting,
            "serve": lambda _config, _connection: self.did("serve"),
            "record_history": self.record,
            "PreparedEndpoint": lambda _endpoint: SimpleNamespace(
                take=lambda: self.did("endpoint"), announce=lambda: self.did("announce"), close=lambda: None
            ),
            "timeline_of": lambda _connection: 10,
            "time": SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep, time=lambda: 1000.0),
        }
        for name, function in replaced.items():
            monkeypatch.setattr(_takeover, name, function)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def did(self, event: str) -> None:
        assert "local" in self.held or event == "serve", f"{event} without the lock"
        self.events.append(event)
        if event in self.fails:
            self.local.closed = self.breaks_session
            raise self.fails[event]

    def gather(self, _config: object, _connection: object, control: dict[str, Any] | None) -> Evidence:
        evidence = self.gathered.pop(0) if len(self.gathered) > 1 else self.gathered[0]
        return {**evidence, "control": control or evidence["control"]}

    def try_lock(self, session: Session, key: int) -> bool:
        assert key == GRANT
        if self.locks[session.server]:
            self.held.append(session.server)
        return self.locks[session.server]

    def connect_peer(self, _config: object) -> Session:
        if "connect_peer" in self.fails:
            raise self.fails["connect_peer"]
        return Session("peer")

    def record(self, _server: object, entry: dict[str, Any]) -> None:
        self.did("history")
        self.history = entry

    def refused(self, order: Order = ANYTHING) -> str:
        with pytest.raises(RefusedError) as raised:
            take_over(CONFIG, order)
        assert "request" not in self.events and "remember" not in self.events
        assert "local" not in self.held, "the lock was not given back"
        return " ".join(raised.value.reasons)
