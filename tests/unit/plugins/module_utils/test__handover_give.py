# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The giving node's half of the critical section: its order, and who is primary after each failure."""

from __future__ import annotations

from contextlib import nullcontext

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _handover
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    BackupHaError,
    DeadlineError,
    InDoubtError,
    RefusedError,
    RolledBackError,
    UnreachableError,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._handover_plan import GIVE_STEPS
from ansible_collections.duet.backup_ha.plugins.module_utils._prelude import Budget, Terms
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session, Stage

BEFORE_STOP = ["flush", "stop_workload"]
REQUEST = ["stop_primary", "await_replay", "forget_having_been_primary", "request_promotion"]
AFTER = ["release_endpoint", "forget_having_been_primary", "write_standby_signal", "start_server", "drop_slot"]
TERMS = Terms(timeout=10)
NO_SPACE = OSError(28, "No space left on device")
BROKEN = psycopg.OperationalError("server closed the connection unexpectedly")


def test_the_order_of_a_handover(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    progress = _handover.give(CONFIG, TERMS)
    assert stage.events == [*BEFORE_STOP, *REQUEST, "wait_until_writer", *AFTER]
    assert [step["step"] for step in progress.steps] == list(GIVE_STEPS)


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("flush", BROKEN),
        ("stop_workload", DeadlineError("systemctl did not end")),
        ("await_replay", DeadlineError("did not arrive")),
        ("await_replay", BROKEN),
        ("forget_having_been_primary", NO_SPACE),
    ],
)
def test_whatever_fails_before_the_request_puts_the_old_primary_back(
    monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    stage = Stage(monkeypatch, **{step: error})
    with pytest.raises(RolledBackError, match="node2 was not promoted; node1 serves") as raised:
        _handover.give(CONFIG, TERMS)
    assert raised.value.__cause__ is error
    assert stage.events[-1] == ("resume" if "stop_primary" in stage.events else "serve_on")
    assert "request_promotion" not in stage.events


def test_a_stop_that_takes_too_long_puts_the_old_primary_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.stops_in_time = False
    with pytest.raises(RolledBackError, match="PostgreSQL did not stop within 10 s"):
        _handover.give(CONFIG, TERMS)
    assert stage.events[-3:] == ["stop_at_once", "start_server", "resume"]


@pytest.mark.parametrize("state", ["shutting down", "in crash recovery", "shut down in recovery"])
def test_without_a_clean_stop_nobody_is_promoted(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    stage = Stage(monkeypatch)
    stage.state = state
    monkeypatch.setattr(_handover, "plan_give", lambda *_seen: list(GIVE_STEPS))
    monkeypatch.setattr(_handover, "postmaster_pid", lambda _server: None if stage.events[2:] else 42)
    with pytest.raises(BackupHaError, match=f"control file says '{state}' instead of 'shut down'"):
        _handover.give(CONFIG, TERMS)
    assert stage.events[-1] == "resume"


def test_a_workload_that_does_not_stop_costs_no_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, stop_workload=DeadlineError("systemctl did not end"))
    with pytest.raises(RolledBackError):
        _handover.give(CONFIG, TERMS)
    assert stage.events == [*BEFORE_STOP, "serve_on"]


@pytest.mark.parametrize("answer", ["the other node does not answer, so it may have become primary", "follows"])
def test_a_role_that_cannot_be_taken_back_is_in_doubt(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    stage = Stage(monkeypatch, await_replay=DeadlineError("It did not arrive."))
    stage.resumed = answer
    with pytest.raises(InDoubtError, match=f"It did not arrive. .*{answer}"):
        _handover.give(CONFIG, TERMS)


@pytest.mark.parametrize(
    ("error", "said"), [(UnreachableError("No session."), "No session."), (BROKEN, "A session to PostgreSQL broke")]
)
def test_a_failure_while_taking_back_tells_both(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    Stage(monkeypatch, await_replay=DeadlineError("It did not arrive."), resume=error)
    with pytest.raises(InDoubtError, match=f"It did not arrive. .*failed as well: {said}"):
        _handover.give(CONFIG, TERMS)


@pytest.mark.parametrize("step", ["request_promotion", "wait_until_writer"])
def test_a_broken_session_is_asked_anew_and_a_clear_answer_counts(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    stage = Stage(monkeypatch, **{step: BROKEN})
    monkeypatch.setattr(
        _handover, "in_recovery", lambda s: s.server == "node2" and "request_promotion" not in stage.events
    )
    _handover.give(CONFIG, TERMS)
    assert stage.events[-len(AFTER) :] == AFTER


@pytest.mark.parametrize("reachable", [True, False], ids=["still a standby", "silent"])
def test_an_unclear_answer_is_in_doubt_and_never_served_again(monkeypatch: pytest.MonkeyPatch, reachable: bool) -> None:
    stage = Stage(monkeypatch, request_promotion=BROKEN)
    stage.reachable_again = reachable
    with pytest.raises(InDoubtError, match=r"node2 was told to become primary .* duet.backup_ha.status"):
        _handover.give(CONFIG, TERMS)
    assert stage.now >= 29
    assert "resume" not in stage.events


def test_in_doubt_this_node_comes_up_as_a_standby(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was demoted on disk before the request, so starting it is harmless, and it can follow."""
    stage = Stage(monkeypatch, request_promotion=BROKEN)
    stage.reachable_again = False
    with pytest.raises(InDoubtError):
        _handover.give(CONFIG, TERMS)
    assert "forget_having_been_primary" in stage.events
    assert stage.events[-1] == "start_server"


def test_a_request_that_the_other_node_refuses_is_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary error on a session that lives: nobody was promoted, so this node serves again."""
    stage = Stage(monkeypatch)

    def refuse(_session: Session) -> None:
        raise psycopg.errors.DiskFull('could not create file "promote": No space left on device')

    monkeypatch.setattr(_handover, "request_promotion", refuse)
    with pytest.raises((BackupHaError, psycopg.Error), match="No space left on device"):
        _handover.give(CONFIG, TERMS)
    assert stage.events[-1] == "resume"


def test_nothing_begins_before_the_other_node_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.locks = set()
    with pytest.raises(RefusedError) as refused:
        _handover.give(CONFIG, TERMS)
    assert refused.value.reasons == ["node2 did not get ready for its promotion in time."]
    assert stage.events == []


@pytest.mark.parametrize("step", BEFORE_STOP)
def test_a_taker_that_gave_up_meanwhile_stops_nothing(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A long checkpoint or a slow workload may outlast the other node's patience."""
    stage = Stage(monkeypatch)
    did = stage.did

    def lose_the_taker(event: str) -> None:
        did(event)
        if event == step:
            stage.locks = set()

    monkeypatch.setattr(stage, "did", lose_the_taker)
    with pytest.raises(BackupHaError):
        _handover.give(CONFIG, TERMS)
    assert not {"stop_primary", "request_promotion"} & set(stage.events)


def test_nothing_begins_while_somebody_else_promotes(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.granted = False
    with pytest.raises(RefusedError) as refused:
        _handover.give(CONFIG, TERMS)
    assert "Another promotion is under way" in refused.value.reasons[0]
    assert stage.events == []


def test_what_was_interrupted_after_the_promotion_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.state, stage.recovering["node2"] = "shut down", False
    _handover.give(CONFIG, TERMS)
    assert stage.events == AFTER


def test_each_step_is_written_down_before_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    _handover.give(CONFIG, TERMS)
    before = {
        "checkpoint": "",
        "stop_workload": "flush",
        "stop_primary": "stop_workload",
        "promote_secondary": "await_replay",
        "start_standby": "release_endpoint",
    }
    assert stage.journal == before
    assert list(stage.journal) == list(before)


@pytest.mark.parametrize("step", ["checkpoint", "stop_workload", "stop_primary", "promote_secondary"])
def test_what_can_not_be_written_down_is_not_done(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    stage = Stage(monkeypatch)
    stage.full_disk_at = step
    with pytest.raises(RolledBackError, match="No space"):
        _handover.give(CONFIG, TERMS)
    assert stage.events[-1] == ("resume" if "stop_primary" in stage.events else "serve_on")
    assert "request_promotion" not in stage.events
    assert "take_back" in stage.journal


@pytest.mark.parametrize("step", ["take_back", "start_standby"])
def test_a_full_disk_keeps_nobody_from_serving(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    broken = {"stop_workload": DeadlineError("systemctl did not end")} if step == "take_back" else {}
    stage = Stage(monkeypatch, **broken)
    stage.full_disk_at = step
    with pytest.raises(RolledBackError) if broken else nullcontext():
        _handover.give(CONFIG, TERMS)
    assert stage.events[-1] == ("serve_on" if broken else "drop_slot")


def test_a_forecast_that_is_too_long_is_refused_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, flush=RefusedError("Nothing was changed.", ["Nobody could write for about 95 s."]))
    with pytest.raises(RefusedError):
        _handover.give(CONFIG, TERMS)
    assert stage.events == ["flush"]


def test_what_came_is_kept_beside_the_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    Stage(monkeypatch)
    progress = _handover.give(CONFIG, TERMS)
    assert progress.forecast["checkpoint_s"] == 0.5
    assert list(progress.took) == ["checkpoints_s", "workload_s", "stop_s", "without_writer_s"]


def test_streams_of_others_are_ended_just_before_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    assert _handover.give(CONFIG, Terms(end_streams=True)).ended == ["pg_receivewal"]
    assert stage.events[: len(BEFORE_STOP) + 2] == [*BEFORE_STOP, "end_streams", "stop_primary"]


def test_a_stream_that_does_not_end_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, end_streams=BackupHaError("It does not end."))
    with pytest.raises(RolledBackError, match="It does not end"):
        _handover.give(CONFIG, Terms(end_streams=True))
    assert stage.events == [*BEFORE_STOP, "end_streams", "serve_on"]


def test_without_time_for_the_stop_nothing_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)

    def take_long(_config: object, budget: Budget) -> None:
        stage.did("stop_workload")
        budget.began -= 9.5

    monkeypatch.setattr(_handover, "stop_workload", take_long)
    with pytest.raises(RolledBackError, match="No time is left for the stop of node1"):
        _handover.give(CONFIG, Terms(deadline=10))
    assert stage.events == [*BEFORE_STOP, "serve_on"]


def test_a_server_that_died_before_its_stop_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, stop_workload=BROKEN)
    monkeypatch.setattr(_handover, "postmaster_pid", lambda _server: None if stage.events else 42)
    with pytest.raises(RolledBackError):
        _handover.give(CONFIG, TERMS)
    assert stage.events[-3:] == ["stop_at_once", "start_server", "resume"]


def test_a_promotion_that_was_made_and_not_followed_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    Stage(monkeypatch, start_server=DeadlineError("systemd did not see it end."))
    with pytest.raises(InDoubtError, match="node2 is the primary, but node1 does not follow it yet: systemd"):
        _handover.give(CONFIG, TERMS)


@pytest.mark.parametrize("answer", [True, UnreachableError("PostgreSQL does not answer.")], ids=["standby", "silent"])
def test_a_server_that_was_restarted_meanwhile_asks_before_it_serves(
    monkeypatch: pytest.MonkeyPatch, answer: bool | Exception
) -> None:
    stage = Stage(monkeypatch, stop_workload=DeadlineError("systemctl did not end"))

    def in_recovery(session: Session) -> bool:
        if session.server == "node2" or not stage.events:
            return session.server == "node2"
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(_handover, "in_recovery", in_recovery)
    with pytest.raises(RolledBackError):
        _handover.give(CONFIG, TERMS)
    assert stage.events == [*BEFORE_STOP, "resume"]
