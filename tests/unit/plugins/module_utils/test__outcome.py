# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One word for a whole cluster: every combination of what its nodes say."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.filter.outcome import FilterModule
from ansible_collections.duet.backup_ha.plugins.filter.outcome import outcome as outcome_filter
from ansible_collections.duet.backup_ha.plugins.module_utils._outcome import (
    OUTCOMES,
    answer,
    outcome,
    reasons_of,
    word_of,
)

Node = dict[str, Any]


def failed(word: str, *reasons: str) -> Node:
    return {"failure": {"outcome": word, "reasons": list(reasons) or [f"It is {word}."]}, "lost": False}


DONE: Node = {"failure": {}, "lost": False}
LOST: Node = {"failure": {}, "lost": True}
REFUSED, FAILED, DOUBT, BUSY, BACK = map(failed, ("refused", "failed", "in_doubt", "in_progress", "rolled_back"))
CHECKED: Node = {"failure": {"assertion": "x | length == 0", "msg": ["Nothing was changed.", "node2 is stopped."]}}
BUG: Node = {"failure": {"msg": "MODULE FAILURE"}}


@pytest.mark.parametrize(
    ("node", "word"),
    [
        (DONE, "done"),
        (LOST, "lost"),
        ({}, "done"),
        (CHECKED, "refused"),
        (BUG, "failed"),
        ({"failure": {"outcome": "odd"}}, "failed"),
        *((failed(word), word) for word in ("refused", "failed", "in_doubt", "in_progress", "rolled_back")),
    ],
)
def test_the_word_of_a_node(node: Node, word: str) -> None:
    assert word_of(node) == word


@pytest.mark.parametrize(
    ("node", "reasons"),
    [
        (DONE, []),
        (CHECKED, ["node2 is stopped."]),
        (BUG, ["MODULE FAILURE"]),
        ({"failure": {"msg": "Nothing was changed. To go on, add this."}}, ["To go on, add this."]),
        ({"failure": {"censored": "hidden"}}, ["A task failed and did not say why."]),
        (LOST, ["The connection to node1 broke in the middle. duet.backup_ha.status says what is true."]),
    ],
)
def test_the_reasons_of_a_node(node: Node, reasons: list[str]) -> None:
    assert reasons_of("node1", node) == reasons


# giving node, receiving node, whether one of them has ended its half well, and the word for both
@pytest.mark.parametrize(
    ("giver", "taker", "passed", "word"),
    [
        (DONE, DONE, True, "done"),
        (REFUSED, REFUSED, False, "refused"),
        (CHECKED, CHECKED, False, "refused"),
        (REFUSED, FAILED, False, "refused"),  # its forecast was too long, and nobody came to the other one
        (FAILED, REFUSED, False, "failed"),
        (FAILED, FAILED, False, "failed"),
        (BACK, FAILED, False, "rolled_back"),
        (BACK, LOST, False, "rolled_back"),
        (DOUBT, DONE, True, "in_doubt"),
        (DOUBT, FAILED, False, "in_doubt"),
        (DONE, FAILED, True, "in_doubt"),  # promoted, and it does not serve
        (FAILED, DONE, True, "in_doubt"),
        (LOST, DONE, True, "in_doubt"),
        (LOST, FAILED, False, "in_doubt"),
        (DONE, LOST, True, "in_doubt"),
        (BUSY, REFUSED, False, "in_progress"),
        (REFUSED, BUSY, False, "in_progress"),
        (DONE, BUG, False, "failed"),  # before the handover
    ],
)
def test_the_word_for_both(giver: Node, taker: Node, passed: bool, word: str) -> None:
    assert outcome({"node1": giver, "node2": taker}, "node1", began=True, passed=passed)[0] == word


def test_a_node_that_was_lost_before_anything_began_is_a_reason_to_refuse() -> None:
    assert outcome({"node1": CHECKED, "node2": LOST})[0] == "refused"
    assert outcome({"node1": CHECKED, "node2": LOST}, began=True)[0] == "in_doubt"


ASSEMBLIES = [
    (REFUSED, REFUSED, "refused", "failed"),
    (CHECKED, DONE, "refused", "failed"),
    (CHECKED, FAILED, "failed", "failed"),
    (BUSY, REFUSED, "in_progress", "failed"),
    (DONE, LOST, "in_doubt", "in_doubt"),
    (DOUBT, REFUSED, "in_doubt", "in_doubt"),
    (DONE, DONE, "done", "done"),
]


@pytest.mark.parametrize(("one", "other", "before", "after"), ASSEMBLIES)
def test_what_has_changed_servers_was_not_refused(one: Node, other: Node, before: str, after: str) -> None:
    nodes = {"node1": one, "node2": other}
    assert outcome(nodes, began=True)[0] == before
    assert outcome(nodes, began=True, changed=True)[0] == after
    found = outcome_filter(nodes, "assemble", began=True, changed=True)
    assert (found["outcome"], bool(found["reasons"])) == (after, after != "done")


ALL = {"done": DONE, "lost": LOST, "refused": REFUSED, "failed": FAILED, "doubt": DOUBT, "busy": BUSY, "back": BACK}


@pytest.mark.parametrize(("one", "other"), list(product(ALL, ALL)))
@pytest.mark.parametrize("leader", [None, "node1"])
@pytest.mark.parametrize("passed", [False, True])
def test_every_combination(one: str, other: str, leader: str | None, passed: bool) -> None:
    word, reasons = outcome({"node1": ALL[one], "node2": ALL[other]}, leader, began=True, passed=passed)
    assert word in OUTCOMES
    assert (word == "done") == (one == other == "done")
    assert bool(reasons) == (word != "done")
    if passed:
        assert word in ("done", "in_doubt")


def test_who_decides_speaks_alone_and_nobody_twice() -> None:
    nodes = {"node1": failed("rolled_back", "It took too long."), "node2": failed("failed", "Nothing came.")}
    assert outcome(nodes, "node1")[1] == ["It took too long."]
    assert outcome({"node1": REFUSED, "node2": REFUSED})[1] == ["It is refused."]
    assert outcome({"node1": DONE, "node2": FAILED}, "node1", passed=True)[1] == ["It is failed."]


@pytest.mark.parametrize(
    ("nodes", "rehearsal", "word", "roles"),
    [
        ([DONE, DONE], False, "done", ("node2", "node1")),
        ([DONE, DONE], True, "planned", ("node1", "node2")),
        ([REFUSED, REFUSED], True, "refused", ("node1", "node2")),
        ([BACK, FAILED], False, "rolled_back", ("node1", "node2")),
        ([DOUBT, FAILED], False, "in_doubt", (None, None)),
    ],
)
def test_the_document(nodes: list[Node], rehearsal: bool, word: str, roles: tuple[str | None, str | None]) -> None:
    both = dict(zip(("node1", "node2"), nodes, strict=True))
    found = outcome_filter(
        both, "switchover", ["node1", "node2"], ["node2", "node1"], "node1", True, word == "done", rehearsal
    )
    assert (found["operation"], found["outcome"], found["primary"], found["secondary"]) == ("switchover", word, *roles)


def test_unknown_roles_are_none() -> None:
    found = answer("failover", {"node1": CHECKED}, ("", ""), ("", ""))
    assert (found["primary"], found["secondary"]) == (None, None)


def test_the_filter_has_the_name_of_its_file() -> None:
    assert FilterModule().filters() == {"outcome": outcome_filter}
