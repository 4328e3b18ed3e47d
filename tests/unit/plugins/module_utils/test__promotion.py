# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two ends of being primary: what a start remembers, what a promotion waits for, what a demotion does."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import (
    _before_start,
    _endpoint,
    _primary_memory,
    _promotion,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._control import ControlData
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, DeadlineError
from ansible_collections.duet.backup_ha.plugins.module_utils._promotion import await_replay, demotion_plan
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session

ALL = ["stop_primary_target", "stop_postgresql", "start_standby"]


def observed(role: str, target: str | None) -> dict[str, Any]:
    return {"role": role, "services": {"backup-ha-primary.target": {"active": target}} if target else {}}


@pytest.mark.parametrize(
    ("role", "target", "steps"),
    [
        ("primary", "active", ALL),
        ("primary", "inactive", ALL[1:]),
        ("stopped", "active", ["stop_primary_target", "start_standby"]),
        ("stopped", "inactive", ["start_standby"]),
        ("secondary", "active", ["stop_primary_target"]),
        ("secondary", "deactivating", ["stop_primary_target"]),
        ("secondary", "inactive", []),
        ("secondary", "not-found", []),
        ("secondary", None, []),
        ("none", "inactive", []),
    ],
)
def test_demotion(role: str, target: str | None, steps: list[str]) -> None:
    assert demotion_plan(observed(role, target)) == steps


@pytest.mark.parametrize("done", range(len(ALL) + 1))
def test_an_interrupted_demotion_is_finished_by_running_it_again(done: int) -> None:
    role, target = "primary", "active"
    for step in ALL[:done]:
        target = "inactive" if step == "stop_primary_target" else target
        role = {"stop_postgresql": "stopped", "start_standby": "secondary"}.get(step, role)
    assert demotion_plan(observed(role, target)) == ALL[done:]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The node's memory on disk."""
    monkeypatch.setattr(_primary_memory, "PRIMARY_PATH", tmp_path / "primary.json")
    return tmp_path


def test_no_start_keeps_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    deleted, aside = list[object](), list[object]()
    monkeypatch.setattr(_endpoint, "delete", deleted.append)
    monkeypatch.setattr(_before_start, "run", lambda _command: "")
    monkeypatch.setattr(_before_start, "parse_control_data", lambda _said: CONTROL)
    monkeypatch.setattr(_before_start, "set_aside_outvoted_histories", lambda *found: aside.append(found))
    _before_start.before_start(CONFIG)
    assert deleted == [CONFIG.endpoint]
    assert aside == [("/nowhere", CONTROL)]


@pytest.mark.parametrize("remembers", [True, False])
def test_a_promotion_by_resuming_sees_the_histories_first(monkeypatch: pytest.MonkeyPatch, remembers: bool) -> None:
    done: list[str] = []
    monkeypatch.setattr(_promotion, "in_recovery", lambda _session: True)
    monkeypatch.setattr(_promotion, "control_data", lambda _server: CONTROL)
    for name in ("put_back_histories", "request_promotion", "wait_until_writer", "serve"):
        monkeypatch.setattr(_promotion, name, lambda *_arguments, event=name: done.append(event))
    monkeypatch.setattr(_promotion, "was_primary", lambda: remembers)
    monkeypatch.setattr(_promotion, "remember_being_primary", lambda _config: done.append("remember"))
    _promotion.promote_here(CONFIG, Session("node1"))  # type: ignore[arg-type]
    remember = ["remember"] if remembers else []
    assert done == ["put_back_histories", *remember, "request_promotion", "wait_until_writer", "serve"]


@pytest.mark.usefixtures("state")
def test_whoever_has_followed_another_primary_since_was_not_the_last_one() -> None:
    known = []
    for timeline in (3, None, 5):
        _primary_memory.remember_being_primary(CONFIG, timeline)
        known.append([_primary_memory.was_primary(own) for own in (None, 2, 3, 4, 5, 6)])
    assert known == [
        [True, True, True, False, False, False],
        [True, True, True, True, True, True],
        [True, True, True, True, True, False],
    ]


def test_a_full_disk_takes_no_claim_away(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _content: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_primary_memory, "write_durably", full)
    with pytest.raises(OSError, match="No space"):
        _primary_memory.remember_being_primary(CONFIG)
    (state / "primary.json").write_text("cut off")
    _primary_memory.remember_being_primary(CONFIG, 3)
    assert _primary_memory.was_primary(7), "what can't be read forbids nothing"


def test_the_files_are_brought_up_to_date_before_the_workload_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(_promotion, "timeline_of", lambda _connection: 7)
    for name in ("write_standby_signal", "take_endpoint", "remember_being_primary", "ensure_slot", "adopt"):
        monkeypatch.setattr(_promotion, name, lambda *_arguments, event=name: done.append(event))
    monkeypatch.setattr(_promotion, "systemctl", lambda verb, *units: done.append(f"{verb} {units[-1]}"))
    _promotion.serve(CONFIG, SimpleNamespace(execute=done.append))  # type: ignore[arg-type]
    assert done.index("take_endpoint") < done.index("adopt") < done.index("start bacula-director.service")


@pytest.mark.usefixtures("state")
def test_a_primary_remembers_it_until_it_hands_over() -> None:
    assert _primary_memory.was_primary() is False
    _primary_memory.remember_being_primary(CONFIG)
    _primary_memory.remember_being_primary(CONFIG)
    assert _primary_memory.was_primary() is True
    _primary_memory.forget_having_been_primary()
    _primary_memory.forget_having_been_primary()
    assert _primary_memory.was_primary() is False


def test_what_is_remembered_says_who_and_since_when(state: Path) -> None:
    _primary_memory.remember_being_primary(CONFIG)
    remembered = json.loads((state / "primary.json").read_text(encoding="utf-8"))
    assert remembered["node"] == CONFIG.node
    assert remembered["since"] > 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that only sleeping moves."""
    time = SimpleNamespace(now=0.0)
    time.monotonic = lambda: time.now

    def sleep(seconds: float) -> None:
        time.now += seconds

    time.sleep = sleep
    monkeypatch.setattr(_promotion, "time", time)
    return time


CONTROL = ControlData("shut down", "0/3000028", 1, "7", False, True)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("position", ["0/3000129", "0/3002028", "0/5000000"])
def test_who_has_replayed_more_than_there_is_has_another_history(
    monkeypatch: pytest.MonkeyPatch, position: str
) -> None:
    monkeypatch.setattr(_promotion, "one", lambda _connection, _query: position)
    with pytest.raises(BackupHaError, match=f"has replayed up to {position}, .* at 0/3000028: .*duet.backup_ha.rejoin"):
        await_replay(Session("node2"), CONTROL, timeout=1.0)  # type: ignore[arg-type]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("positions", [["0/3000029"], ["0/30000C8"], [None, "0/3000028", "0/30000A0"]])
def test_the_shutdown_checkpoint_is_replayed_when_replay_is_past_its_begin(
    monkeypatch: pytest.MonkeyPatch, positions: list[str | None]
) -> None:
    """A control file names the begin of the record, a standby the end of what it has replayed."""
    left = list(positions)
    monkeypatch.setattr(_promotion, "one", lambda _connection, _query: left.pop(0))
    assert await_replay(Session("node2"), CONTROL, timeout=1.0) == positions[-1]  # type: ignore[arg-type]
    assert left == []


@pytest.mark.parametrize("position", ["0/3000028", "0/3000000", None])
def test_what_does_not_arrive_is_told_with_both_positions(
    monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace, position: str | None
) -> None:
    monkeypatch.setattr(_promotion, "one", lambda _connection, _query: position)
    with pytest.raises(DeadlineError, match=f"replayed up to {position}; .* is at 0/3000028, .* within 5 s"):
        await_replay(Session("node2"), CONTROL, timeout=5.0)  # type: ignore[arg-type]
    assert clock.now == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(("recovering", "held", "holder"), list(product((True, False), (True, False), (None, "02:00"))))
def test_the_endpoint_s_unit_takes_it_only_for_the_writer_and_only_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch, recovering: bool, held: bool, holder: str | None
) -> None:
    taken: list[object] = []
    monkeypatch.setattr(_promotion, "connect_local", lambda _server: Session("node1"))
    monkeypatch.setattr(_promotion, "in_recovery", lambda _session: recovering)
    monkeypatch.setattr(_endpoint, "holds", lambda _endpoint: held)
    monkeypatch.setattr(_endpoint, "probe", lambda _endpoint: holder)
    monkeypatch.setattr(_endpoint, "add", taken.append)
    monkeypatch.setattr(_endpoint, "announce_repeatedly", lambda _endpoint: None)
    if not recovering and (held or holder is None):
        _promotion.endpoint_take_unit(CONFIG)
        assert taken == [CONFIG.endpoint]
        return
    with pytest.raises(BackupHaError, match="does not accept writes" if recovering else "already answered by 02:00"):
        _promotion.endpoint_take_unit(CONFIG)
    assert taken == []


@pytest.mark.parametrize(("held_for", "lingers"), [(0.0, 0.0), (0.1, 0.1), (99.0, 0.3)])
def test_the_address_lingers_while_nobody_took_it_and_not_for_long(
    monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace, held_for: float, lingers: float
) -> None:
    monkeypatch.setattr(_endpoint, "holds", lambda _endpoint: clock.now < held_for)
    _promotion.endpoint_linger(CONFIG)
    assert clock.now == pytest.approx(lingers, abs=0.03)
