# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a node rejoins by itself: only what is certain to be the worse copy, and never in a loop."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._auto_rejoin_decision import (
    DECLINE,
    DECLINED,
    DONE,
    FAILED,
    FOLLOWS_S,
    FORGET,
    FORK,
    INTERRUPTED,
    LOOKS,
    LOST,
    PAUSES_S,
    RUNNING,
    SILENT,
    SILENT_PAUSE_S,
    SOUND_S,
    START,
    UNUSABLE,
    Look,
    Memory,
    Need,
    Own,
    Primary,
    Record,
    begun,
    decide,
    ended,
    find_need,
    is_due,
    pause_after,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._timeline import Stretch

FORK_LSN = 0x3000060
ON_1 = [Stretch(1, 0)]
TO_2 = [Stretch(1, 0, FORK_LSN), Stretch(2, FORK_LSN)]
TO_3 = [*TO_2[:1], Stretch(2, FORK_LSN, FORK_LSN + 500), Stretch(3, FORK_LSN + 500)]
OTHERS_2 = [Stretch(1, 0, FORK_LSN - 16), Stretch(2, FORK_LSN - 16)]
OWN = Own("node1", "7", ON_1, FORK_LSN + 100, accepting=True)
FOLLOWER = replace(OWN, reached=FORK_LSN)
PRIMARY = Primary("node2", "7", TO_2, "reserved", has_wal=True)
FORKED = Need(FORK, "fork on timeline 1 at 0/3000060")


@pytest.mark.parametrize(
    ("own", "primary", "kind"),
    [
        (OWN, PRIMARY, FORK),
        (OWN, None, None),
        (OWN, replace(PRIMARY, system="8"), None),
        (FOLLOWER, PRIMARY, None),
        (FOLLOWER, replace(PRIMARY, slot="lost"), LOST),
        (FOLLOWER, replace(PRIMARY, slot=None), LOST),
        (FOLLOWER, replace(PRIMARY, has_wal=False), LOST),
        (OWN, replace(PRIMARY, slot="lost", has_wal=False), FORK),
        (replace(FOLLOWER, accepting=False), replace(PRIMARY, slot="lost"), None),
        (replace(OWN, accepting=False), PRIMARY, None),
        (replace(OWN, accepting=False, interrupted=True), PRIMARY, FORK),
        (replace(FOLLOWER, accepting=False, interrupted=True), PRIMARY, INTERRUPTED),
        (replace(OWN, accepting=False, unusable=True), PRIMARY, UNUSABLE),
        (Own("node1", None, unusable=True), PRIMARY, UNUSABLE),
        (Own("node1", None), PRIMARY, None),
        (Own("node1", None, interrupted=True), PRIMARY, INTERRUPTED),
        (replace(OWN, unusable=True), replace(PRIMARY, system="8"), None),
    ],
)
def test_what_keeps_a_node_from_following(own: Own, primary: Primary | None, kind: str | None) -> None:
    need = find_need(own, primary)
    assert (need and need.kind) == kind
    assert not need or not need.refusal


def test_the_fork_of_a_node_has_one_name_however_far_it_came() -> None:
    assert find_need(OWN, PRIMARY) == find_need(replace(OWN, reached=FORK_LSN + 900), PRIMARY) == FORKED


@pytest.mark.parametrize(
    ("own", "primary", "why"),
    [
        (replace(OWN, past=TO_2), replace(PRIMARY, past=OTHERS_2), "which is not newer than timeline 2 of node1"),
        (replace(OWN, past=TO_3), replace(PRIMARY, past=OTHERS_2), "which is not newer than timeline 3 of node1"),
        (replace(OWN, heard=3), PRIMARY, "node1 has heard of timeline 3, and node2 is primary on timeline 2 only"),
        (
            replace(OWN, past=TO_2),
            replace(PRIMARY, past=[*OTHERS_2[:1], Stretch(3, FORK_LSN - 16)]),
            "node1 was promoted, to timeline 2, and node2 was promoted without it",
        ),
    ],
)
def test_where_each_could_be_the_better_one_nobody_s_word_is_given(own: Own, primary: Primary, why: str) -> None:
    need = find_need(own, primary)
    assert need and need.kind == FORK and why in need.refusal


def test_a_fork_on_a_timeline_that_the_primary_came_along_is_not_the_better_one() -> None:
    """However often it was promoted before."""
    own = replace(OWN, past=TO_2, reached=FORK_LSN + 600)
    assert find_need(own, replace(PRIMARY, past=TO_3)) == Need(FORK, "fork on timeline 2 at 0/3000254")


NOW = 1_800_000_000.0
RECORD = Record(FORKED.mark, 1, FAILED, NOW, "boot", "It failed.")


@pytest.mark.parametrize(
    ("record", "pause"),
    [
        *((replace(RECORD, attempts=number + 1), pause) for number, pause in enumerate(PAUSES_S)),
        (replace(RECORD, attempts=5), None),
        (replace(RECORD, attempts=1, outcome=DONE), PAUSES_S[0]),
        (replace(RECORD, attempts=0, outcome=SILENT), SILENT_PAUSE_S),
        (replace(RECORD, attempts=4, outcome=SILENT), SILENT_PAUSE_S),
        (replace(RECORD, attempts=0, outcome=DECLINED), 0.0),
        (replace(RECORD, outcome=RUNNING), PAUSES_S[0]),
        (replace(RECORD, outcome=RUNNING, boot="before"), 0.0),
        (replace(RECORD, outcome=RUNNING, attempts=5, boot="before"), None),
    ],
)
def test_pauses(record: Record, pause: float | None) -> None:
    assert pause_after(record, "boot") == pause
    if pause is None:
        assert not is_due(record, FORKED, NOW + 1e9, "boot")
    else:
        assert is_due(record, FORKED, NOW + pause, "boot")
        assert not pause or not is_due(record, FORKED, NOW + pause - 1, "boot")


def test_something_new_begins_anew_and_what_was_left_half_done_does_not() -> None:
    gave_up = replace(RECORD, attempts=5)
    other = Need(FORK, "fork on timeline 3 at 0/5000000")
    assert is_due(gave_up, other, NOW, "boot") and is_due(None, FORKED, NOW, "boot")
    assert begun(gave_up, other, NOW, "boot") == Record(other.mark, 1, RUNNING, NOW, "boot")
    for kind in (UNUSABLE, INTERRUPTED):
        assert not is_due(gave_up, Need(kind, kind), NOW + 1e9, "boot")
        assert begun(RECORD, Need(kind, kind), NOW, "boot") == Record(FORKED.mark, 2, RUNNING, NOW, "boot")
    assert begun(None, Need(UNUSABLE, UNUSABLE), NOW, "boot").mark == UNUSABLE


def test_a_clock_that_was_set_back_keeps_nobody_waiting() -> None:
    assert is_due(RECORD, FORKED, NOW - 5, "boot")


@pytest.mark.parametrize(("outcome", "attempts"), [(FAILED, 2), (DONE, 2), (SILENT, 1), (DECLINED, 1)])
def test_what_counts_as_an_attempt(outcome: str, attempts: int) -> None:
    found = ended(begun(RECORD, FORKED, NOW, "boot"), outcome, NOW + 3, "why")
    assert found == Record(FORKED.mark, attempts, outcome, NOW + 3, "boot", "why")


def test_a_primary_that_goes_away_each_time_never_uses_the_attempts_up() -> None:
    record: Record | None = None
    for number in range(50):
        record = ended(begun(record, FORKED, NOW + number, "boot"), SILENT, NOW + number)
    assert record and record.attempts == 0


def test_failures_end_with_a_notice() -> None:
    """In hours, with ever longer pauses; then never again."""
    record, now, tried = None, NOW, []
    while now < NOW + 1e6:
        if is_due(record, FORKED, now, "boot"):
            tried.append(now - NOW)
            record = ended(begun(record, FORKED, now, "boot"), FAILED, now)
        now += 60
    assert tried == [0, 60, 360, 1260, 4860]


LOOK = Look(100.0, NOW, "boot", allowed=True, streams=False, need=FORKED)


def watch(look: Look, looks: int = LOOKS, memory: Memory | None = None, apart: float = 1.0) -> tuple[Memory, list[str]]:
    memory, actions = memory or Memory(), []
    for number in range(looks):
        memory, action = decide(memory, replace(look, at=look.at + number * apart, now=look.now + number * apart))
        actions.append(action)
    return memory, actions


@pytest.mark.parametrize(
    ("look", "action"),
    [
        (LOOK, START),
        (replace(LOOK, allowed=False), ""),
        (replace(LOOK, busy=True), ""),
        (replace(LOOK, need=None), ""),
        (replace(LOOK, record=RECORD), ""),
        (replace(LOOK, record=RECORD, now=NOW + 3600), START),
        (replace(LOOK, need=FORKED._replace(refusal="no")), DECLINE),
        (replace(LOOK, need=FORKED._replace(refusal="no"), record=RECORD), DECLINE),
        (
            replace(LOOK, need=FORKED._replace(refusal="no"), record=replace(RECORD, outcome=DECLINED, problem="no")),
            "",
        ),
        (replace(LOOK, record=replace(RECORD, attempts=0, outcome=DECLINED, problem="no")), START),
    ],
)
def test_only_what_lasts_is_acted_on(look: Look, action: str) -> None:
    assert watch(look)[1] == [""] * (LOOKS - 1) + [action]


def test_looks_that_differ_are_counted_anew() -> None:
    memory, _actions = watch(LOOK, LOOKS - 1)
    assert decide(memory, replace(LOOK, need=Need(LOST, LOST))) == (Memory(Need(LOST, LOST), 1), "")
    assert decide(memory, replace(LOOK, need=None)) == (Memory(None, 1), "")


def test_one_that_can_not_even_be_begun_is_not_begun_again_and_again() -> None:
    """The disk is full, so that no record of it is left."""
    _memory, actions = watch(LOOK, 120)
    assert actions.count(START) == 2
    _memory, actions = watch(replace(LOOK, record=replace(RECORD, attempts=0, outcome=SILENT, at=0)), 25)
    assert actions.count(START) == 3


def test_streaming_for_a_moment_is_not_following() -> None:
    memory, _actions = watch(LOOK, LOOKS - 1)
    memory, action = decide(memory, replace(LOOK, streams=True, need=None, at=101.0))
    assert (action, memory.looks) == ("", LOOKS - 1)
    assert decide(memory, replace(LOOK, at=102.0))[1] == START


def test_whoever_follows_for_long_has_nothing_to_remember() -> None:
    streams = replace(LOOK, streams=True, need=None, record=replace(RECORD, outcome=DONE))
    memory, _actions = watch(LOOK, LOOKS - 1)
    memory, actions = watch(streams, int(FOLLOWS_S) + 1, memory)
    assert memory == Memory(streams_since=100.0) and set(actions) == {""}
    assert decide(memory, replace(streams, at=100.0 + SOUND_S - 1))[1] == ""
    assert decide(memory, replace(streams, at=100.0 + SOUND_S))[1] == FORGET
    assert decide(memory, replace(streams, at=100.0 + SOUND_S, busy=True))[1] == ""
    assert decide(memory, replace(streams, at=100.0 + SOUND_S, record=None))[1] == ""
