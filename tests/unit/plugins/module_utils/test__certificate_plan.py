# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each node accepts the other one all the while, wherever a renewal is interrupted, and it ends with one authority."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._certificate_plan import (
    NEW,
    Held,
    Round,
    after,
    left_over,
    next_round,
)

Nodes: TypeAlias = Mapping[str, "Held | None"]
SINCE = {"old": 1.0, "mid": 2.0, "made": 3.0, NEW: 3.0}
WELL = Held(("old",), ("old",), "old")
BOTH: dict[str, Held | None] = {"node1": WELL, "node2": WELL}
DUE = replace(WELL, due=True)
PEER = {"node1": "node2", "node2": "node1"}


def breaks(nodes: Nodes) -> list[str]:
    """Whose certificate the other node would not accept."""
    found = []
    for name, held in nodes.items():
        other = nodes[PEER[name]]
        if held and other and held.issuer and other.trusts and held.issuer not in other.trusts:
            found.append(name)
    return found


def prefixes(nodes: Nodes, step: Round) -> Iterator[dict[str, Held | None]]:
    """What the nodes may have when the round was interrupted: any of them has put it in place, or none."""
    for count in range(len(step.nodes) + 1):
        for some in itertools.combinations(step.nodes, count):
            yield after(nodes, replace(step, trust={name: step.trust[name] for name in some}), "made")


def end(nodes: Nodes, outdated: tuple[str, ...] = ()) -> tuple[dict[str, Held | None], int]:
    """Go on to the end; every interruption on the way is safe, and going on from there ends as well as from here."""
    count, now = 0, dict(nodes)
    while step := next_round(now, SINCE, outdated, "node1"):
        for found in prefixes(now, step):
            assert not breaks(found), (now, step, found)
        now, count = after(now, step, "made"), count + 1
        assert count <= 5, "it goes on for ever"
    return now, count


def test_nothing_to_do() -> None:
    assert next_round(BOTH, SINCE) is None
    assert next_round({"node1": None, "node2": None}, SINCE) is None


@pytest.mark.parametrize("keeper", ["node1", "node2"])
def test_a_renewal_is_one_round_and_copies_the_key(keeper: str) -> None:
    nodes: dict[str, Held | None] = {**BOTH, "node1": DUE, "node2": DUE, PEER[keeper]: replace(DUE, keeps=())}
    step = next_round(nodes, SINCE)
    trust: dict[str, tuple[str, ...]] = dict.fromkeys(BOTH, ("old",))
    assert step == Round(keeper, False, trust, dict.fromkeys(BOTH, "old"), (PEER[keeper],))
    assert end(nodes) == (BOTH, 1)


def test_blank_nodes_get_everything_at_once() -> None:
    blank: dict[str, Held | None] = {"node1": Held(due=True), "node2": Held(due=True)}
    step = next_round(blank, SINCE, preferred="node2")
    assert step == Round("node2", True, dict.fromkeys(BOTH, (NEW,)), dict.fromkeys(BOTH, NEW), ("node1",))
    assert end(blank)[1] == 1


def test_a_new_authority_is_trusted_then_signs_and_then_the_old_one_goes() -> None:
    first = next_round(BOTH, SINCE, ("old",))
    assert first and first.make and not first.sign and set(first.trust["node1"]) == {NEW, "old"}
    second = next_round(after(BOTH, first, "made"), SINCE, ("old",))
    assert second and second.sign == dict.fromkeys(BOTH, "made") and set(second.trust["node1"]) == {"made", "old"}
    last, count = end(BOTH, ("old",))
    assert count == 3 and last == dict.fromkeys(BOTH, Held(("made",), ("made",), "made"))


def test_one_that_is_due_and_alone_is_signed_by_whom_the_other_one_trusts() -> None:
    alone: dict[str, Held | None] = {"node1": DUE, "node2": None}
    assert end(alone) == ({"node1": WELL, "node2": None}, 1)
    found, _count = end(alone, ("old",))
    held = found["node1"]
    assert held and held.issuer == "old" and not held.due and {*held.trusts} == {*held.keeps} == {"old", "made"}
    # It comes back, and both go on to the new one.
    assert end({**found, "node2": WELL}, ())[0] == dict.fromkeys(BOTH, Held(("made",), ("made",), "made"))
    assert next_round(found, SINCE, ("old",)) is None, "run again without it, no further one is made"


def test_the_only_key_is_lost_with_its_node() -> None:
    """The other one keeps its certificate until the lost one is there again."""
    alone: dict[str, Held | None] = {"node1": Held(("old",), (), "old", due=True), "node2": None}
    found, count = end(alone)
    held = found["node1"]
    assert held and (held.issuer, {*held.trusts}, held.due) == ("old", {"old", "made"}, True) and count == 1
    said = left_over(found, SINCE)
    assert "node1 keeps its certificate until then" in said[1] and "until then the old one is trusted" in said[2]
    for back in (Held(due=True), WELL):
        assert end({**found, "node2": back})[0]["node1"] == Held(("made",), ("made",), "made")


def test_without_any_certificate_nothing_can_break() -> None:
    assert end({"node1": Held(due=True), "node2": None})[0]["node1"] == Held(("made",), ("made",), "made")
    mixed: dict[str, Held | None] = {"node1": WELL, "node2": Held(due=True)}
    assert end(mixed) == ({"node1": WELL, "node2": replace(WELL)}, 1)


def test_what_was_not_taken_up_is_reloaded_before_anything_else() -> None:
    nodes: dict[str, Held | None] = {"node1": replace(DUE, taken_up=False), "node2": WELL}
    step = next_round(nodes, SINCE)
    assert step == Round("node1", False, {"node1": ("old",)}, {}, ())
    assert end(nodes) == (BOTH, 2)


def test_an_old_authority_stays_until_its_last_certificate_is_out_of_use() -> None:
    both = ("made", "old")
    ahead = Held(both, both, "made")
    nodes: dict[str, Held | None] = {"node1": ahead, "node2": replace(ahead, taken_up=False)}
    step = next_round(nodes, SINCE)
    assert step and step.trust["node2"] == both, "it may still show the old one"
    absent: dict[str, Held | None] = {"node1": ahead, "node2": None}
    assert next_round(absent, SINCE) is None


def states() -> Iterator[Held]:
    names = ("old", "mid")
    some = [(), ("old",), ("mid",), names]
    for trusts, keeps, issuer, due, up in itertools.product(some, some, ("", *names), (False, True), (False, True)):
        if (not issuer or issuer in trusts) and (up or trusts == names):
            yield Held(trusts, keeps, issuer, due or not issuer, up)


@pytest.mark.parametrize("outdated", [(), ("old",), ("old", "mid")])
def test_from_everywhere_it_ends_and_nothing_breaks_on_the_way(outdated: tuple[str, ...]) -> None:
    seen = 0
    for one, two in itertools.product([*states()], repeat=2):
        nodes: dict[str, Held | None] = {"node1": one, "node2": two}
        if breaks(nodes):
            continue
        last, _count = end(nodes, outdated)
        assert len(set(last.values())) == 1
        held = last["node1"]
        assert held and held.trusts == held.keeps == (held.issuer,) and held.taken_up and not held.due
        assert held.issuer not in outdated
        seen += 1
    assert seen > 1000


@pytest.mark.parametrize("outdated", [(), ("old",), ("old", "mid")])
def test_alone_and_then_together_nothing_breaks(outdated: tuple[str, ...]) -> None:
    """While the other one is away, and when it comes back as it was."""
    for one, two in itertools.product([*states()], repeat=2):
        if breaks({"node1": one, "node2": two}):
            continue
        found, _count = end({"node1": one, "node2": None}, outdated)
        back: dict[str, Held | None] = {**found, "node2": two}
        if one.issuer:  # without a certificate there was nothing to keep
            assert not breaks(back), (one, two, found)
            end(back, outdated)


def test_who_is_away_is_named_and_nobody_when_both_are_there() -> None:
    assert left_over(BOTH, SINCE) == left_over({"node1": None, "node2": None}, SINCE) == []
    assert left_over({"node1": WELL, "node2": None}, SINCE) == [
        "node2 did not answer; it gets its own when this is run again."
    ]


def go_on(nodes: Nodes, own: tuple[str, ...]) -> dict[str, Held | None]:
    """To the end with the user's own authorities; no interruption breaks anything."""
    now, count = dict(nodes), 0
    while step := next_round(now, SINCE, own=own):
        assert not step.make and not step.copy and {*step.sign.values()} <= {*own}
        for found in prefixes(now, step):
            assert not breaks(found), (now, step, found)
        now, count = after(now, step), count + 1
        assert count <= 5, "it goes on for ever"
    return now


@pytest.mark.parametrize("own", [("mine",), ("mine", "old"), ("mine", "mine2")])
def test_the_user_s_authorities_take_over_and_nothing_breaks(own: tuple[str, ...]) -> None:
    for one, two in itertools.product([*states()], repeat=2):
        nodes: dict[str, Held | None] = {"node1": one, "node2": two}
        if breaks(nodes):
            continue
        for held in go_on(nodes, own).values():
            assert held and held.trusts == own and held.issuer in own and not held.due
        alone = go_on({"node1": one, "node2": None}, own)
        back: dict[str, Held | None] = {**alone, "node2": two}
        assert not one.issuer or not breaks(back)


def test_a_new_certificate_of_the_same_authority_does_not_wait_for_an_absent_node() -> None:
    mine = Held(("mine",), (), "mine", due=True)
    step = next_round({"node1": mine, "node2": None}, SINCE, own=("mine",))
    assert step and step.sign == {"node1": "mine"}
