# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage for rejoins: a former primary with a fork, and the one that took over."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import (
    _clone,
    _fresh_copy,
    _rejoin,
    _rejoin_facts,
    _streaming,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._control import ControlData
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    RefusedError,
    UnreachableError,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._fork import Fork
from ansible_collections.duet.backup_ha.plugins.module_utils._rejoin import rejoin
from ansible_collections.duet.backup_ha.plugins.module_utils._rejoin_outcome import Outcome
from ansible_collections.duet.backup_ha.plugins.module_utils._timeline import Stretch
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session

GIB = 2**30
FORK_LSN = 0x3000060


class Stage:
    """node1 was primary and runs as a standby with a fork; node2 is primary on timeline 2."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.events: list[str] = []
        self.marked = False
        self.running = True
        self.peer_answers = True
        self.promoting = False
        self.slot_status: str | None = "reserved"
        self.control_timelines = [2]
        self.state = "shut down in recovery"
        self.states: list[str] = []
        self.recovery_timeline = 1
        self.rewind_fails = ""
        self.copy_refused = False
        self.needed, self.old_bytes = GIB, 0
        self.recovering = True
        self.receives = 2
        self.kept: Path | None = None
        self.fork = Fork(FORK_LSN, FORK_LSN + 100, 1, 3, 2, segments=["000000010000000000000003"])
        self._replace(monkeypatch, tmp_path)

    def _replace(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(_clone, "LOCK_PATH", tmp_path / "lock")
        monkeypatch.setattr(_clone, "observe_primary", lambda _config: {})
        monkeypatch.setattr(_clone, "plan_clone", self.plan_clone)
        monkeypatch.setattr(_clone, "clone", lambda _config, steps, _timeout: self.did("copy " + " ".join(steps)))
        for name, function in (self._answers() | self._acts()).items():
            for module in (_fresh_copy, _rejoin, _rejoin_facts, _streaming):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, function)
        monkeypatch.setattr(shutil, "rmtree", lambda _directory: self.did("remove"))
        monkeypatch.setattr(Path, "exists", lambda _path: True)
        monkeypatch.setattr(Session, "execute", self.execute, raising=False)

    def _answers(self) -> dict[str, Any]:
        """What stands for the functions that look at the nodes."""
        return {
            "read_operation": lambda: None,
            "connect_peer": self.connect_peer,
            "connect_local": lambda *_arguments: Session("node1"),
            "wait_for_session": lambda *_arguments, **_options: Session("node1"),
            "postmaster_pid": lambda _server: 42 if self.running else None,
            "control_data": lambda _server: self.control(),
            "in_recovery": lambda session: session.server == "node1" and self.recovering,
            "one": self.one,
            "timeline_of": lambda _session: 2,
            "rows": lambda *_arguments: [{"in_recovery": False, "system_identifier": "7"}],
            "read_past": lambda *_arguments: [Stretch(1, 0)],
            "past_of_peer": lambda *_arguments: [Stretch(1, 0, FORK_LSN), Stretch(2, FORK_LSN)],
            "has_wal": lambda *_arguments: True,
            "read_fork": lambda *_arguments: self.fork,
            "space_for": lambda *_arguments: (GIB, 2 * GIB),
            "kept_before": lambda _fork: self.kept,
            "name_tables": lambda *_arguments: [],
            "is_unusable": lambda: self.marked,
        }

    def _acts(self) -> dict[str, Any]:
        """What stands for the functions that change something."""
        return {
            "renew": lambda: None,
            "try_lock": lambda *_arguments: not self.promoting,
            "unlock": lambda *_arguments: None,
            "keep": self.keep,
            "mark_unusable": lambda _fork: self.mark(True),
            "clear_unusable": lambda: self.mark(False),
            "rewind": self.rewind,
            "systemctl": self.stop,
            "size_of": lambda _directory: self.old_bytes,
            "free_bytes": lambda _directory: 1,
            "begin_to_abstain": lambda: None,
            "forget_having_been_primary": lambda: self.did("forget"),
            "write_standby_signal": lambda _server: self.did("standby.signal"),
            "start_server": self.start,
            "ensure_slot": lambda _session, name: self.did(f"ensure {name}"),
            "drop_slot": lambda session, name: self.did(f"drop {name} on {session.server}"),
        }

    def did(self, event: str) -> None:
        self.events.append(event)

    def keep(self, *_arguments: object) -> Path:
        self.did("keep")
        return Path("/forks/1")

    def mark(self, marked: bool) -> None:
        self.marked = marked
        self.did("mark" if marked else "clear")

    def connect_peer(self, _config: object, **_options: Any) -> Session:
        if not self.peer_answers:
            raise UnreachableError("PostgreSQL on node2 does not answer")
        return Session("node2")

    def control(self) -> ControlData:
        return ControlData(self.state, "0/3000070", 1, "7", False, True, "0/3000080", self.recovery_timeline)

    def one(self, _session: Session, query: str, *_parameters: Any) -> Any:
        if "wal_status" in query:
            return self.slot_status
        if "pg_control_checkpoint" in query:
            return self.control_timelines.pop(0) if len(self.control_timelines) > 1 else self.control_timelines[0]
        if "received_tli" in query:
            return self.receives if "start" in self.events else None
        return None

    def execute(self, query: str) -> None:
        if query == "CHECKPOINT":
            self.did("checkpoint")

    def stop(self, verb: str, *_units: str, **_timeout: float) -> None:
        assert verb == "stop"
        self.did("stop")
        self.running = False
        self.state = self.states.pop(0) if self.states else self.state

    def rewind(self, _config: object, _segment_bytes: int, _lock: int) -> str:
        assert self.marked and not self.running
        self.did("rewind")
        return self.rewind_fails

    def plan_clone(self, local: dict[str, Any], _primary: object, erase: bool) -> list[str]:
        assert erase
        if self.copy_refused and (not self.running or self.marked) and local["free_bytes"] < self.needed:
            raise RefusedError("Nothing was changed.", ["1.0 GiB are needed for the copy, 1 B are free."])
        return ["create_slot", "copy", "stop", "swap", "start"]

    def start(self, _server: object, _timeout: float) -> None:
        assert not self.marked, "a half rewound server was started"
        self.did("start")
        self.running = True

    def run(self, **options: Any) -> Outcome:
        return rejoin(CONFIG, timeout=0.2, **options)
