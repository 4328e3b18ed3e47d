# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a node may become primary by itself: every input there is, against what must never happen."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._lsn import parse_lsn
from ansible_collections.duet.backup_ha.plugins.module_utils._resume import decide_resume
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import OTHER_SYSTEM, SYSTEM

LSNS = ("0/3000000", "0/3000060", "1/0")
YES_NO = (True, False)

Position = dict[str, Any]


def position(recovering: bool = True, timeline: int = 3, lsn: str | None = LSNS[1], system: str = SYSTEM) -> Position:
    return {
        "in_recovery": recovering,
        "timeline": timeline,
        "lsn": lsn,
        "replay_lsn": lsn,
        "system_identifier": system,
    }


ANSWERING = [position(*values) for values in product(YES_NO, (2, 3, 4), LSNS, (SYSTEM, OTHER_SYSTEM))]
LOCALS = [position(*values) for values in product(YES_NO, (2, 3, 4), LSNS)]
PEERS = [None, *ANSWERING]
WORLDS = list(product(LOCALS, PEERS, YES_NO, YES_NO))


def is_ahead(one: Position, other: Position) -> bool:
    """On a later timeline, or further on the same one."""
    return (one["timeline"], parse_lsn(one["lsn"])) > (other["timeline"], parse_lsn(other["lsn"]))


def decisions(wanted: str) -> list[tuple[Position, Position | None, bool, bool]]:
    return [world for world in WORLDS if decide_resume(*world)[0] == wanted]


def test_every_decision_is_one_of_four_and_says_why() -> None:
    for world in WORLDS:
        decision, why = decide_resume(*world)
        assert decision in {"serve", "promote", "follow", "wait"}
        assert why


def test_the_worlds_hold_every_decision() -> None:
    assert all(decisions(wanted) for wanted in ("serve", "promote", "follow", "wait"))


def test_a_writer_serves_whatever_the_other_one_is() -> None:
    assert {id(world[0]) for world in decisions("serve")} == {id(p) for p in LOCALS if not p["in_recovery"]}
    assert all(not local["in_recovery"] for local, *_rest in decisions("serve"))


def test_never_promoted_while_the_other_node_accepts_writes() -> None:
    assert not [world for world in decisions("promote") if world[1] and not world[1]["in_recovery"]]


def test_never_promoted_while_the_other_node_is_ahead() -> None:
    assert not [world for world in decisions("promote") if world[1] and is_ahead(world[1], world[0])]


def test_never_promoted_beside_a_stranger() -> None:
    assert not [world for world in decisions("promote") if world[1] and world[1]["system_identifier"] != SYSTEM]


def test_never_promoted_over_silence_without_somebody_s_word() -> None:
    assert not [world for world in decisions("promote") if world[1] is None and not world[3]]


def test_the_word_never_outvotes_a_primary_a_stranger_or_a_node_that_is_ahead() -> None:
    """It counts over silence, and where neither of two standbys remembers having been primary."""
    for local, peer, was_primary, word in decisions("promote"):
        if peer and word and not was_primary:
            assert peer["in_recovery"] and peer["system_identifier"] == SYSTEM
            assert decide_resume(local, peer, True, False)[0] == "promote"


def test_without_a_word_a_former_secondary_never_promotes_itself_beside_a_node_that_answers() -> None:
    assert not [world for world in decisions("promote") if world[1] and not world[2] and not world[3]]


def test_never_promoted_while_the_other_node_s_position_is_unknown() -> None:
    peer = position(lsn=None)
    assert decide_resume(position(), peer, was_primary=True, alone=False)[0] == "wait"


def test_never_promoted_while_the_own_position_is_unknown() -> None:
    assert decide_resume(position(lsn=None), position(), was_primary=True, alone=False)[0] == "wait"


def test_the_former_primary_in_step_goes_on() -> None:
    assert decide_resume(position(), position(), was_primary=True, alone=False)[0] == "promote"


def test_a_former_primary_behind_a_new_one_follows() -> None:
    new = position(recovering=False, timeline=4)
    assert decide_resume(position(), new, was_primary=True, alone=False)[0] == "follow"


def test_more_wal_on_an_older_timeline_is_not_ahead() -> None:
    """The promotion that began the later timeline has outvoted it."""
    assert decide_resume(position(timeline=4), position(timeline=3, lsn="9/0"), was_primary=True, alone=False)[0] == (
        "promote"
    )


@pytest.mark.parametrize(("lsn", "replayed"), [(LSNS[1], None), (None, LSNS[1])])
def test_what_is_known_of_the_own_position_counts(lsn: str | None, replayed: str | None) -> None:
    local = {**position(), "lsn": lsn, "replay_lsn": replayed}
    assert decide_resume(local, position(lsn=LSNS[1]), was_primary=True, alone=False)[0] == "promote"
    assert decide_resume(local, position(lsn=LSNS[2]), was_primary=True, alone=False)[0] == "wait"


@pytest.mark.parametrize("was_primary", YES_NO)
def test_the_word_over_silence_promotes(was_primary: bool) -> None:
    """The operator's word is the only way out when the other machine is gone for good."""
    assert decide_resume(position(), None, was_primary, alone=True)[0] == "promote"


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        pytest.param(None, ["does not answer"], id="silent"),
        pytest.param(position(system=OTHER_SYSTEM), ["not a copy"], id="stranger"),
        pytest.param(position(timeline=4), ["timeline 4", "this one on 3"], id="later timeline"),
        pytest.param(position(lsn="1/0"), ["up to 1/0", f"up to {LSNS[1]}"], id="further"),
    ],
)
def test_waiting_says_what_was_found(peer: Position | None, words: list[str]) -> None:
    decision, why = decide_resume(position(), peer, was_primary=True, alone=False)
    assert decision == "wait"
    assert [word for word in words if word not in why] == []


def test_two_nodes_that_see_each_other_never_both_go_on_without_being_equal() -> None:
    """Equal nodes both may; the lock decides between them (test__resume_grant.py)."""
    for one, other in product(LOCALS, LOCALS):
        pairs = ((one, other), (other, one))
        first, second = (decide_resume(*pair, was_primary=True, alone=False)[0] for pair in pairs)
        if first == second == "promote":
            assert not any(is_ahead(*pair) for pair in pairs)


def test_the_peers_word_that_it_has_no_copy_counts_where_no_copy_answers_and_for_a_former_primary() -> None:
    for local, peer, was_primary, alone in WORLDS:
        without, why = decide_resume(local, peer, was_primary, alone)
        told = decide_resume(local, peer, was_primary, alone, peer_abstains=True)
        copy_answers = peer is not None and peer["system_identifier"] == local["system_identifier"]
        if copy_answers or not was_primary or not local["in_recovery"]:
            assert told == (without, why)
        else:
            assert told[0] == "promote"
