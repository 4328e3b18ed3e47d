# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent asks about a node that does not stream, how often, and what it begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _auto_rejoin, _auto_rejoin_record
from ansible_collections.duet.backup_ha.plugins.module_utils._auto_rejoin import EAGER, EVERY, Returning, look_closer
from ansible_collections.duet.backup_ha.plugins.module_utils._auto_rejoin_decision import (
    DECLINED,
    DONE,
    FAILED,
    FORK,
    INTERRUPTED,
    LOOKS,
    RUNNING,
    SOUND_S,
    UNUSABLE,
    Need,
    Record,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._config import REJOIN_UNIT, NodeConfig
from ansible_collections.duet.backup_ha.plugins.module_utils._control import ControlData
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._grant import GRANT
from ansible_collections.duet.backup_ha.plugins.module_utils._postgres import SessionError
from ansible_collections.duet.backup_ha.plugins.module_utils._timeline import Stretch
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session

FORK_LSN = 0x3000060
FORKED = Need(FORK, "fork on timeline 1 at 0/3000060")
RECORD = Record(FORKED.mark, 1, RUNNING, 0.0, "boot")


def raise_if(error: Exception | None) -> None:
    if error:
        raise error


class Stage:
    """node1 runs as a standby with a fork; node2 is primary on timeline 2."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.config: NodeConfig = replace(CONFIG, postgresql=replace(CONFIG.postgresql, data_directory=str(tmp_path)))
        self.directory = tmp_path
        (tmp_path / "global").mkdir()
        (tmp_path / "global/pg_control").touch()
        self.peer: Exception | None = None
        self.answers: dict[str, Any] = {"pg_last_wal_replay_lsn": "0/3000100", "wal_status": "reserved"}
        self.answers |= {"system_identifier": "7", "pg_stat_wal_receiver": 0}
        self.recovering, self.locks, self.unusable = False, set[int](), False
        self.outvoter: dict[str, int] | None = None
        self.record: Record | None = None
        self.unit = "inactive"
        self.operation: dict[str, Any] | None = None
        self.begun, self.said = list[str](), list[str]()
        self.asked, self.now = 0, 1000.0
        replaced: dict[str, Any] = {
            "connect_peer": lambda _config, timeout: self.connect_peer(timeout),
            "in_recovery": lambda _session: self.recovering,
            "locks_held": lambda _session: self.locks,
            "is_unusable": lambda: self.unusable,
            "control_data": lambda _server: ControlData("in archive recovery", "0/3000070", 1, "7", False, True),
            "find_outvoter": lambda *_arguments: self.outvoter,
            "read_past": lambda *_arguments: [Stretch(1, 0)],
            "past_of_peer": lambda *_arguments: [Stretch(1, 0, FORK_LSN), Stretch(2, FORK_LSN)],
            "timeline_of": lambda _session: 2,
            "has_wal": lambda *_arguments: True,
            "one": self.one,
            "read_record": lambda: self.record,
            "write_record": self.write,
            "forget_record": lambda: self.write(None),
            "boot_id": lambda: "boot",
            "this_start": lambda: "boot",
            "read_operation": lambda: self.operation,
            "unit_states": lambda _units: {REJOIN_UNIT: {"active": self.unit}},
            "systemctl": lambda *words: self.begun.append(" ".join(words)),
            "say": self.said.append,
        }
        for name, function in replaced.items():
            monkeypatch.setattr(_auto_rejoin, name, function)
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def connect_peer(self, timeout: float) -> Session:
        assert timeout <= 1.0, "the agent's pass waits for it"
        self.asked += 1
        raise_if(self.peer)
        return Session("node2")

    def one(self, _session: object, query: str, *_parameters: Any) -> Any:
        return next(answer for words, answer in self.answers.items() if words in query)

    def write(self, record: Record | None) -> None:
        self.record = record

    def look(self, session: Any = None, record: Record | None = None) -> Need | None:
        return look_closer(self.config, session, record)

    def passes(self, agent: Returning, count: int, role: str = "secondary", seconds: float = 1.0) -> None:
        for _pass in range(count):
            agent.once(role, None if role == "none" else LOCAL)
            self.now += seconds


LOCAL: Any = Session("node1")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


def test_a_fork_is_seen(stage: Stage) -> None:
    assert stage.look(LOCAL) == FORKED


@pytest.mark.parametrize(
    "change",
    [{"recovering": True}, {"locks": {GRANT}}, {"peer": UnreachableError("silent")}, {"peer": SessionError("broke")}],
)
def test_without_a_primary_that_answers_and_is_not_just_promoted_there_is_no_need(
    stage: Stage, change: dict[str, Any]
) -> None:
    for name, value in change.items():
        setattr(stage, name, value)
    assert stage.look(LOCAL) is None


def test_a_server_that_somebody_has_stopped_is_left_alone_and_nobody_asked(stage: Stage) -> None:
    assert stage.look(None, replace(RECORD, outcome=FAILED)) is None
    assert not stage.asked


def test_what_an_attempt_left_is_seen_without_a_server(stage: Stage) -> None:
    assert stage.look(None, RECORD) == FORKED._replace()
    stage.unusable = True
    assert stage.look(None) == Need(UNUSABLE, UNUSABLE)


def test_a_directory_that_is_not_there_may_be_one_that_is_not_mounted(stage: Stage) -> None:
    (stage.directory / "global/pg_control").unlink()
    assert stage.look(None, RECORD) is None
    Path(f"{stage.directory}.outgoing").mkdir()
    assert stage.look(None, RECORD) == Need(INTERRUPTED, INTERRUPTED)


def test_who_was_left_behind_by_a_newer_timeline_than_the_primary_s_declines(stage: Stage) -> None:
    stage.outvoter = {"timeline": 3}
    need = stage.look(LOCAL)
    assert need and "timeline 3" in need.refusal
    agent = Returning(stage.config)
    stage.passes(agent, LOOKS + 3)
    assert not stage.begun and stage.record and stage.record.outcome == DECLINED
    assert len(stage.said) == 1 and "backup-ha rejoin" in stage.said[0]


def test_a_fork_that_lasts_is_rejoined_once(stage: Stage) -> None:
    agent = Returning(stage.config)
    stage.passes(agent, LOOKS - 1)
    assert not stage.begun and agent.hurries
    stage.passes(agent, 1)
    assert stage.begun == [f"start --no-block {REJOIN_UNIT}"]
    stage.unit = "activating"
    stage.passes(agent, 200)
    assert len(stage.begun) == 1


def test_nothing_is_begun_while_an_operation_is_under_way(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    left_over = False
    monkeypatch.setattr(_auto_rejoin, "is_left_over", lambda *_arguments: left_over)
    stage.operation = {"id": "1"}
    agent = Returning(stage.config)
    stage.passes(agent, LOOKS + 3)
    assert not stage.begun
    left_over = True
    stage.passes(agent, 1)
    assert stage.begun


def test_where_it_is_not_wanted_nothing_happens(stage: Stage) -> None:
    stage.config = replace(stage.config, agent=replace(stage.config.agent, auto_rejoin=False))
    stage.passes(Returning(stage.config), LOOKS + 3)
    assert not stage.begun and stage.record is None


def test_a_node_that_streams_asks_nobody_and_forgets_its_attempts(stage: Stage) -> None:
    stage.answers["pg_stat_wal_receiver"] = 1
    stage.record = replace(RECORD, outcome=DONE)
    agent = Returning(stage.config)
    stage.passes(agent, int(SOUND_S))
    assert stage.record and not agent.hurries
    stage.passes(agent, 2)
    assert stage.record is None and not stage.asked


def test_a_node_that_waits_for_its_primary_for_long_asks_less_often(stage: Stage) -> None:
    stage.peer = UnreachableError("silent")
    agent = Returning(stage.config)
    stage.passes(agent, EAGER)
    assert stage.asked == EAGER and not agent.hurries
    stage.passes(agent, 10 * EVERY)
    assert stage.asked == EAGER + 10


def test_a_primary_asks_nobody(stage: Stage) -> None:
    agent = Returning(stage.config)
    stage.passes(agent, 5, "primary")
    assert not stage.asked and not agent.hurries


def test_a_local_session_that_broke_is_the_agent_s_to_make_anew(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    broken: Any = Session("node1")
    broken.closed = True

    def breaks(*_arguments: object) -> None:
        raise SessionError("the server ended")

    monkeypatch.setattr(_auto_rejoin, "observe_own", breaks)
    with pytest.raises(SessionError):
        stage.look(broken)
    assert stage.look(LOCAL) is None


def test_the_record_outlives_whoever_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rejoin.json"
    monkeypatch.setattr(_auto_rejoin_record, "this_start", lambda: "boot")
    assert _auto_rejoin_record.read_record(path) is None and _auto_rejoin_record.observe_attempts(path) is None
    failed = replace(RECORD, outcome=FAILED, at=1000.0, problem="No room.")
    _auto_rejoin_record.write_record(failed, path)
    assert _auto_rejoin_record.read_record(path) == failed
    found = _auto_rejoin_record.observe_attempts(path)
    assert found and (found["problem"], found["next_at"]) == ("No room.", 1060.0)
    _auto_rejoin_record.write_record(replace(failed, attempts=5), path)
    found = _auto_rejoin_record.observe_attempts(path)
    assert found and found["next_at"] is None
    path.write_text("{", encoding="utf-8")
    assert _auto_rejoin_record.read_record(path) is None
    _auto_rejoin_record.forget_record(path)
    assert not path.exists()


def test_a_start_of_this_machine_has_one_name() -> None:
    assert _auto_rejoin_record.this_start() == _auto_rejoin_record.this_start()
    assert _auto_rejoin_record.this_start().rpartition(":")[2].isdigit()
