# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of a rejoin: kept before it is stopped, marked before it is rewound, and started only when it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _rejoin, _rejoin_facts
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    BackupHaError,
    DeadlineError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._fork import Fork
from ansible_collections.duet.backup_ha.plugins.module_utils._rejoin_outcome import Outcome, report
from ansible_collections.duet.backup_ha.plugins.module_utils._rejoin_plan import COPY, REWIND
from ansible_collections.duet.backup_ha.tests.unit.plugins.rejoining import FORK_LSN, Stage
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


BEGIN = ["standby.signal", "start", "drop backup_ha_node2 on node1"]
SLOT = "ensure backup_ha_node1"
REWOUND = ["keep", SLOT, "forget", "stop", "mark", "rewind", "clear", SLOT, "forget", *BEGIN]


def test_a_fork_is_kept_and_rewound(stage: Stage) -> None:
    outcome = stage.run()
    assert stage.events == REWOUND
    assert outcome.steps == ["keep_fork", *REWIND, "await_streaming"]
    assert outcome.fork == "/forks/1" and outcome.changed and not outcome.why_copied


def test_one_that_was_kept_is_not_kept_again(stage: Stage) -> None:
    stage.kept = Path("/forks/0")
    assert stage.run().fork == "/forks/0"
    assert stage.events == REWOUND[1:]


def test_what_an_interrupted_copy_left_goes_when_the_server_runs(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rejoin, "remove_leftovers", lambda _directory: stage.did("tidy"), raising=False)
    stage.run()
    assert stage.events == [*REWOUND, "tidy"]


def test_to_check_changes_nothing(stage: Stage) -> None:
    outcome = stage.run(check=True)
    assert stage.events == []
    assert outcome.steps == ["keep_fork", *REWIND]
    assert outcome.lost == stage.fork


def test_a_rewind_that_fails_ends_with_a_copy(stage: Stage) -> None:
    stage.rewind_fails = "pg_rewind failed: why"
    outcome = stage.run()
    assert stage.events[5:8] == ["rewind", "copy create_slot copy stop swap", "clear"]
    assert stage.events[-3:] == BEGIN
    assert outcome.why_copied == "pg_rewind failed: why"
    assert outcome.steps == ["keep_fork", "prepare_primary", "stop", "copy", "start", "await_streaming"]


@pytest.mark.parametrize(
    ("change", "why"),
    [({"state": "in production"}, "control file says"), ({"recovery_timeline": 2}, "an older timeline")],
)
def test_what_can_not_be_rewound_after_the_stop_is_not_touched(stage: Stage, change: dict[str, Any], why: str) -> None:
    for name, value in change.items():
        setattr(stage, name, value)
    outcome = stage.run()
    assert why in outcome.why_copied
    assert "rewind" not in stage.events and "mark" not in stage.events
    assert "copy create_slot copy stop swap" in stage.events


def test_a_standby_that_was_cut_off_recovers_before_it_is_rewound(stage: Stage, tmp_path: Path) -> None:
    stage.states, stage.kept = ["in archive recovery", "shut down in recovery"], tmp_path
    outcome = stage.run()
    assert stage.events[2:8] == ["stop", "standby.signal", "start", "forget", "stop", "mark"]
    assert "rewind" in outcome.steps


@pytest.mark.parametrize("lets_in", [True, False])
def test_one_that_does_not_recover_is_copied(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lets_in: bool
) -> None:
    def nobody(*_arguments: object) -> Session:
        if "clear" not in stage.events and not lets_in:
            raise UnreachableError("nobody is let in")
        return Session("node1")

    monkeypatch.setattr(_rejoin, "Path", lambda *_parts: tmp_path)
    monkeypatch.setattr(_rejoin, "wait_for_session", nobody)
    stage.states, stage.kept = ["in archive recovery", "in archive recovery"], tmp_path
    outcome = stage.run()
    assert "control file says 'in archive recovery'" in outcome.why_copied
    assert "copy" in outcome.steps and "rewind" not in outcome.steps


def test_without_room_for_the_copy_the_mark_stays(stage: Stage) -> None:
    stage.rewind_fails, stage.copy_refused = "pg_rewind failed: why", True
    with pytest.raises(BackupHaError, match=r"node1 needs a fresh copy\. 1\.0 GiB are needed"):
        stage.run()
    assert stage.marked and "start" not in stage.events


def test_an_interrupted_rewind_ends_with_a_copy(stage: Stage) -> None:
    stage.marked, stage.running = True, False
    outcome = stage.run()
    assert stage.events == ["copy create_slot copy stop swap", "clear", SLOT, "forget", *BEGIN]
    assert outcome.steps == [*COPY, "await_streaming"]


def test_no_room_for_a_planned_copy_is_a_refusal(stage: Stage) -> None:
    stage.marked, stage.running, stage.copy_refused = True, False, True
    with pytest.raises(RefusedError):
        stage.run()
    assert stage.events == []


def test_what_a_rewind_left_makes_room_for_the_copy(stage: Stage) -> None:
    stage.marked, stage.running, stage.copy_refused, stage.old_bytes = True, False, True, stage.needed
    outcome = stage.run()
    copy = "copy create_slot copy stop swap"
    assert stage.events == ["stop", "remove", copy, "clear", SLOT, "forget", *BEGIN]
    assert outcome.steps == [*COPY, "await_streaming"]


def test_what_a_failed_rewind_left_makes_room_for_the_copy(stage: Stage) -> None:
    stage.rewind_fails, stage.copy_refused, stage.old_bytes = "pg_rewind failed: why", True, stage.needed
    assert "copy" in stage.run().steps
    assert stage.events.index("keep") < stage.events.index("mark") < stage.events.index("remove")


def test_a_slot_that_lost_its_wal_is_made_anew(stage: Stage) -> None:
    stage.slot_status = "lost"
    stage.run()
    assert stage.events[1:3] == ["drop backup_ha_node1 on node2", SLOT]


@pytest.mark.parametrize("timelines", [[1, 2], [1, 1]])
def test_the_primary_s_control_file_must_name_its_timeline(stage: Stage, timelines: list[int]) -> None:
    stage.control_timelines = list(timelines)
    if timelines[-1] == 2:
        stage.run()
        assert stage.events.index("checkpoint") < stage.events.index("stop")
        return
    with pytest.raises(BackupHaError, match="node2 does not name its own timeline"):
        stage.run()
    assert "stop" not in stage.events


def test_a_server_that_does_not_stop_is_left_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rejoin, "systemctl", lambda *_words, **_options: stage.did("stop"))
    with pytest.raises(DeadlineError, match="still runs"):
        stage.run()
    assert stage.events[-1] == "stop"


def test_a_primary_that_is_gone_at_the_end_does_not_keep_the_server_from_starting(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rewind(*arguments: Any) -> str:
        stage.peer_answers = False
        return Stage.rewind(stage, *arguments)

    monkeypatch.setattr(_rejoin, "rewind", rewind)
    with pytest.raises(UnreachableError):
        stage.run()
    assert stage.events[-3:] == BEGIN


def test_one_that_streams_elsewhere_is_not_done(stage: Stage) -> None:
    stage.receives = 1
    with pytest.raises(DeadlineError, match="does not stream from node2"):
        stage.run()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"promoting": True}, "being promoted"),
        ({"recovering": False}, "Both nodes accept writes"),
        ({"peer_answers": False}, "does not answer"),
    ],
)
def test_refused_before_anything_is_done(stage: Stage, change: dict[str, Any], words: str) -> None:
    for name, value in change.items():
        setattr(stage, name, value)
    with pytest.raises(RefusedError) as raised:
        stage.run()
    assert words in raised.value.reasons[0]
    assert stage.events == []


def test_a_server_that_lets_nobody_in_is_judged_by_its_disk(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_arguments: object) -> Session:
        raise UnreachableError("the database system is starting up")

    monkeypatch.setattr(_rejoin_facts, "connect_local", nobody)
    assert stage.run(check=True).steps == ["keep_fork", *REWIND]
    stage.state = "in production"
    assert stage.run(check=True).steps == ["keep_fork", *COPY]


def test_one_at_a_time(stage: Stage) -> None:
    with _rejoin._alone(), pytest.raises(RefusedError) as raised:
        stage.run()
    assert "still works on this node's data" in raised.value.reasons[0]
    stage.run()


def test_an_operation_of_somebody_else_goes_first(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_record: object, identity: str, _dead: list[str]) -> None:
        if identity != "ours":
            raise RefusedError("Another operation is running on this cluster.", ["It runs."])

    monkeypatch.setattr(_rejoin, "refuse_if_busy", busy)
    with pytest.raises(RefusedError, match="Another operation"):
        stage.run()
    assert stage.run(record="ours").changed


def test_what_is_said() -> None:
    lost = Fork(FORK_LSN, FORK_LSN + 2048, 1, commits=3)
    done = report(CONFIG, Outcome(["copy", "start"], "/forks/1", lost, "pg_rewind failed"), check=False)
    assert done == [
        "node1: 2.0 KiB of WAL with 3 committed transactions, from 0/3000060 to 0/3000860, never reached node2.",
        "node1: they are kept in /forks/1; read summary.txt there",
        "node1: was copied anew: pg_rewind failed",
        "node1: follows node2",
    ]
    assert "node1: was copied anew" in report(CONFIG, Outcome(["copy", "start"]), check=False)
    assert "are gone" in report(CONFIG, Outcome(["start"], "", lost), check=False)[1]
    assert report(CONFIG, Outcome([]), check=True) == ["node1: has nothing to do"]
    assert report(CONFIG, Outcome(["await_streaming"]), check=True) == ["node1: has nothing to do"]
    assert report(CONFIG, Outcome(["copy", "start"]), check=True) == ["node1: would follow by: copy, start"]
