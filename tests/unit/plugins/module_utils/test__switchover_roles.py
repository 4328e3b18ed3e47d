# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gives and who takes, also when a switchover was interrupted and the same playbook has to finish it."""

from __future__ import annotations

from itertools import product

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._switchover import interrupted_target, refusals, roles
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Node, Nodes

PRIMARY, OTHER_PRIMARY = worlds.primary("node1", "node2"), worlds.primary("node2", "node1")
SECONDARY, OTHER_SECONDARY = worlds.secondary("node1", "node2"), worlds.secondary("node2", "node1")
GIVEN_UP = "shut down"
WITHOUT_DATA = {**worlds.stopped("node1"), "postgresql": {"running": False, "accepting": False, "control": None}}

ROLES: list[tuple[Node | None, Node | None, tuple[str | None, str | None]]] = [
    (PRIMARY, OTHER_SECONDARY, ("node1", "node2")),
    (SECONDARY, OTHER_PRIMARY, ("node2", "node1")),
    (PRIMARY, OTHER_PRIMARY, (None, None)),
    (PRIMARY, worlds.stopped("node2"), ("node1", None)),
    (PRIMARY, None, ("node1", None)),
    (None, OTHER_SECONDARY, (None, "node2")),
    (None, None, (None, None)),
    (worlds.stopped("node1", GIVEN_UP), OTHER_SECONDARY, ("node1", "node2")),
    (worlds.stopped("node1", "in production"), OTHER_SECONDARY, (None, "node2")),
    (worlds.stopped("node1", "shut down in recovery"), OTHER_SECONDARY, (None, "node2")),
    (worlds.stopped("node1", GIVEN_UP), worlds.stopped("node2", GIVEN_UP), (None, None)),
    (WITHOUT_DATA, OTHER_SECONDARY, (None, "node2")),
    (worlds.unassembled("node1"), worlds.unassembled("node2"), (None, None)),
]


@pytest.mark.parametrize(("one", "other", "expected"), ROLES)
def test_roles(one: Node | None, other: Node | None, expected: tuple[str | None, str | None]) -> None:
    assert roles({"node1": one, "node2": other}) == expected


def test_nobody_takes_from_itself() -> None:
    some = [None, PRIMARY, SECONDARY, *(worlds.stopped("node1", state) for state in (GIVEN_UP, "in production"))]
    others = [None, OTHER_PRIMARY, OTHER_SECONDARY, worlds.stopped("node2", GIVEN_UP)]
    for one, other in product(some, others):
        giver, taker = roles({"node1": one, "node2": other})
        assert giver is None or giver != taker


def left_over(target: str | None = "node2", kind: str = "switchover") -> dict[str, object]:
    return {**worlds.operation(age_s=90, kind=kind), "target": target}


def interrupted(one: Node, other: Node, record: dict[str, object], on: str = "node1") -> Nodes:
    """Two nodes of which one still has the record of the operation (both have, unless one was replaced)."""
    return {node["node"]: {**node, "operation": record if node["node"] == on else None} for node in (one, other)}


def test_interrupted_before_the_promotion_the_stopped_primary_still_gives() -> None:
    nodes = interrupted(worlds.stopped("node1", GIVEN_UP), OTHER_SECONDARY, left_over())
    assert roles(nodes) == ("node1", "node2")
    assert refusals(nodes) == []


def test_the_stopped_giver_s_copy_must_be_of_the_same_system() -> None:
    giver = worlds.stopped("node1", GIVEN_UP)
    giver["postgresql"]["control"]["system_identifier"] = worlds.OTHER_SYSTEM
    (sentence,) = refusals({"node1": giver, "node2": OTHER_SECONDARY})
    assert "node2 is not a standby of node1" in sentence


@pytest.mark.parametrize("on", ["node1", "node2"])
@pytest.mark.parametrize("giver", [worlds.stopped("node1", GIVEN_UP), SECONDARY], ids=lambda node: str(node["role"]))
def test_interrupted_after_the_promotion_the_rest_is_done(giver: Node, on: str) -> None:
    nodes = interrupted(giver, OTHER_PRIMARY, left_over(), on)
    assert interrupted_target(nodes) == "node2"
    assert roles(nodes) == ("node1", "node2")
    assert refusals(nodes) == []


def test_a_new_primary_without_the_endpoint_is_no_obstacle_to_the_rest() -> None:
    taker = worlds.primary("node2", "node1")
    taker["endpoint"] = {**taker["endpoint"], "held": False}
    assert refusals(interrupted(worlds.stopped("node1", GIVEN_UP), taker, left_over())) == []


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(left_over("node1"), id="another target"),
        pytest.param(left_over(None), id="no target"),
        pytest.param(left_over(kind="assemble"), id="another operation"),
        pytest.param(worlds.operation(age_s=90), id="a record of an older version"),
    ],
)
def test_other_left_overs_change_nothing(record: dict[str, object]) -> None:
    nodes = interrupted(SECONDARY, OTHER_PRIMARY, record)
    assert interrupted_target(nodes) is None
    assert roles(nodes) == ("node2", "node1")


def test_a_left_over_record_never_hides_a_second_writer() -> None:
    nodes = interrupted(PRIMARY, OTHER_PRIMARY, left_over())
    assert interrupted_target(nodes) is None
    assert len(refusals(nodes)) == 1
