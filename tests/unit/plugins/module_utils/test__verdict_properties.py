# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every pair of nodes that there can be: thousands of worlds, each judged once."""

from __future__ import annotations

from functools import cache
from itertools import product

from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import (
    DEGRADED,
    FAILED,
    HEALTHY,
    SPLIT,
    UNASSEMBLED,
    UNKNOWN,
    Verdict,
    judge,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Node, Nodes

YES_NO = (True, False)
World = tuple["Node | None", "Node | None"]


def primaries(name: str, other: str) -> list[Node]:
    found = []
    slots: tuple[list[Node], ...] = ([worlds.slot(other)], [], [worlds.slot(other, False, "lost")])
    for held, target, workload, accepting, kept in product(
        YES_NO, ("active", "inactive"), ("active", "failed"), YES_NO, slots
    ):
        node = worlds.primary(name, other)
        node["endpoint"]["held"] = held
        node["services"][worlds.TARGET] = worlds.unit(target)
        node["services"][worlds.WORKLOAD_UNIT] = worlds.unit(workload)
        node["postgresql"]["slots"] = kept
        node["postgresql"].update(accepting=accepting, problem=None if accepting else "FATAL:  too many clients")
        found.append(node)
    return found


def secondaries(name: str, other: str) -> list[Node]:
    found = []
    streams = (worlds.receiver(name, other), worlds.receiver(name, other, "waiting"), None)
    for receiver, held, workload, lag, system in product(
        streams, YES_NO, ("inactive", "active"), (0, 2**30, None), (worlds.SYSTEM, worlds.OTHER_SYSTEM)
    ):
        node = worlds.secondary(name, other)
        node["endpoint"]["held"] = held
        node["services"][worlds.WORKLOAD_UNIT] = worlds.unit(workload)
        node["postgresql"].update(receiver=receiver, lag_bytes=lag, system_identifier=system)
        node["postgresql"]["control"]["system_identifier"] = system
        found.append(node)
    return found


def candidates(name: str, other: str) -> list[Node | None]:
    starting = worlds.secondary(name, other)
    starting["postgresql"] = {
        "running": True,
        "accepting": False,
        "unit": worlds.POSTGRESQL_UNIT,
        "data_directory": "/var/lib/postgresql/15/main",
        "control": None,
        "problem": "The local PostgreSQL does not answer: FATAL:  the database system is starting up",
        "in_recovery": True,
    }
    return [
        None,
        worlds.unassembled(name),
        worlds.stopped(name),
        worlds.stopped(name, "in production"),
        {**worlds.stopped(name), "operation": worlds.operation(age_s=900)},
        starting,
        *primaries(name, other),
        *secondaries(name, other),
    ]


@cache
def judged() -> list[tuple[World, Verdict]]:
    """Every world and its verdict; that judge() raises in none of them is part of what is tested."""
    pairs = product(candidates("node1", "node2"), candidates("node2", "node1"))
    return [((one, other), judge("duet", {"node1": one, "node2": other})) for one, other in pairs]


def writers(world: World) -> list[Node]:
    return [node for node in world if node and node["role"] == "primary"]


def serves(node: Node) -> bool:
    """Clients can work: the server lets them in, the address and every service are there."""
    units = {unit: state["active"] for unit, state in node["services"].items()}
    up = all(units[unit] == "active" for unit in (worlds.TARGET, worlds.WORKLOAD_UNIT, worlds.POSTGRESQL_UNIT))
    return bool(node["endpoint"]["held"] and up and node["postgresql"]["accepting"])


def protects(node: Node | None) -> bool:
    """A standby that is in step, and nothing more than a standby."""
    if not node or node["role"] != "secondary":
        return False
    database = node["postgresql"]
    if not database["accepting"]:
        return False
    in_step = database["receiver"] is not None and database["receiver"]["status"] == "streaming"
    late = (database["lag_bytes"] or 0) > 16 * 2**20
    extra = node["endpoint"]["held"] or node["services"][worlds.WORKLOAD_UNIT]["active"] == "active"
    return in_step and not late and not extra and database["system_identifier"] == worlds.SYSTEM


def test_there_are_worlds_of_every_kind() -> None:
    assert len(judged()) > 10_000
    assert {v.verdict for _world, v in judged()} == {HEALTHY, DEGRADED, FAILED, SPLIT, UNASSEMBLED, UNKNOWN}


def test_healthy_is_exactly_one_writer_that_serves_and_a_standby_that_follows() -> None:
    for world, verdict in judged():
        who = writers(world)
        alone = (
            len(who) == 1 and serves(who[0]) and who[0]["postgresql"]["slots"][:1] == [worlds.slot(other_of(who[0]))]
        )
        standby = next((node for node in world if not node or node not in who), None)
        assert (verdict.verdict == HEALTHY) == (alone and protects(standby)), verdict


def other_of(node: Node) -> str:
    return {"node1": "node2", "node2": "node1"}[node["node"]]


def test_two_writers_of_one_system_are_always_a_split() -> None:
    for world, verdict in judged():
        assert (verdict.verdict == SPLIT) == (len(writers(world)) == 2)


def test_degraded_means_that_somebody_serves() -> None:
    for world, verdict in judged():
        if verdict.verdict == DEGRADED and writers(world):
            assert serves(writers(world)[0])
        elif verdict.verdict == DEGRADED:
            streams = [n for n in world if n and (n["postgresql"].get("receiver") or {}).get("status") == "streaming"]
            assert streams and None in world


def test_a_writer_that_serves_is_never_called_failed() -> None:
    for world, verdict in judged():
        if verdict.verdict == FAILED:
            assert not [node for node in writers(world) if serves(node)]


def test_whatever_is_not_healthy_says_why_and_what_comes_next() -> None:
    for _world, verdict in judged():
        assert (verdict.verdict == HEALTHY) == (verdict.reasons == [])
        assert (verdict.verdict == HEALTHY) == (verdict.next is None)
        assert "None" not in f"{verdict.reasons} {verdict.next or ''}"


def test_every_silent_node_is_named() -> None:
    for world, verdict in judged():
        for name, node in zip(("node1", "node2"), world, strict=True):
            if node is None:
                assert f"{name} does not answer" in " ".join(verdict.reasons)


def test_the_order_of_the_nodes_does_not_matter() -> None:
    for (one, other), verdict in judged():
        if not (one is None and other is None):
            turned: Nodes = {"node2": other, "node1": one}
            assert judge("duet", turned).verdict == verdict.verdict


def test_the_same_reason_is_not_given_twice() -> None:
    for _world, verdict in judged():
        assert len(verdict.reasons) == len(set(verdict.reasons))
