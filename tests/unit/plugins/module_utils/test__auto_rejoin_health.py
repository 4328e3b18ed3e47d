# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What status says of a node that rejoins by itself, is about to, could not, or must not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import DEGRADED, HEALTHY, Verdict, judge
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Nodes, changed

NOW = 1795364819.6
BY_HAND = "ansible-playbook duet.backup_ha.rejoin (or on node2: backup-ha rejoin)"
FAILED = {
    "mark": "fork",
    "attempts": 2,
    "outcome": "failed",
    "at": NOW - 60,
    "boot": "b",
    "problem": "No room.",
    "next_at": NOW + 240,
}
FORK_LSN = 0x3000000


def forked(**rejoin: Any) -> Nodes:
    """node1 was promoted at a position that node2 had passed."""
    node = changed(worlds.secondary(), "postgresql", "receiver", to=None)
    node["rejoin"].update(rejoin)
    return {"node1": worlds.promoted(worlds.primary(), FORK_LSN), "node2": node}


def judged(nodes: Nodes) -> Verdict:
    found = judge("duet", nodes)
    assert found.verdict == DEGRADED and "node2 has" in found.reasons[0]
    return found


def test_one_waits_for_a_node_that_is_at_work_or_about_to_be() -> None:
    found = judged(forked())
    assert found.next == f"Wait a moment: node2 rejoins by itself. If it does not: {BY_HAND}"
    nodes = forked(works=True)
    assert "node2 is rejoining by itself." in judged(nodes).reasons
    assert nodes["node2"]
    nodes["node2"]["operation"] = {
        "id": "duet-rejoin-1",
        "kind": "rejoin",
        "by": "node2 itself",
        "step": "keep_fork",
        "age_s": 1.0,
    }
    found = judged(nodes)
    assert "node2 is rejoining by itself: it began to keep fork." in found.reasons
    assert not [reason for reason in found.reasons if "The operation" in reason]
    assert found.next == "Wait a moment: node2 is rejoining by itself."


def test_a_rewind_under_way_is_not_an_interrupted_one() -> None:
    node = worlds.stopped("node2", "in archive recovery")
    node["unusable"] = True
    nodes: Nodes = {"node1": worlds.primary(), "node2": node}
    assert "A rewind of node2 was interrupted, and its data can't be used." in judge("duet", nodes).reasons
    node["rejoin"]["works"] = True
    assert not [reason for reason in judge("duet", nodes).reasons if "interrupted" in reason]


def test_what_it_left_when_it_was_killed_is_nothing_that_somebody_has_to_finish() -> None:
    nodes = forked(attempts={**FAILED, "outcome": "running", "problem": ""})
    assert nodes["node2"]
    nodes["node2"]["operation"] = {"id": "1", "kind": "rejoin", "by": "node2 itself", "step": "stop", "age_s": 999.0}
    assert judged(nodes).next == f"Wait a moment: node2 rejoins by itself. If it does not: {BY_HAND}"


def test_a_server_that_an_interrupted_attempt_has_stopped_is_started_by_the_next_one() -> None:
    running = {**FAILED, "outcome": "running", "problem": ""}
    node = worlds.stopped("node2", "shut down in recovery")
    node["rejoin"].update(attempts=running)
    nodes: Nodes = {"node1": worlds.primary(), "node2": node}
    found = judge("duet", nodes)
    assert found.next == f"Wait a moment: node2 rejoins by itself. If it does not: {BY_HAND}"


@pytest.mark.parametrize(
    ("rejoin", "agent"),
    [({"wanted": False}, "active"), ({"wanted": True}, "inactive")],
)
def test_where_nobody_does_it_the_command_is_named(rejoin: dict[str, Any], agent: str) -> None:
    nodes = forked(**rejoin)
    assert nodes["node2"]
    nodes["node2"]["agent"] = agent
    assert judged(nodes).next == BY_HAND


def test_a_server_that_somebody_has_stopped_is_not_started_by_itself() -> None:
    node = changed(
        worlds.stopped("node2", "shut down in recovery"), "postgresql", "control", "recovery_lsn", to="0/4000000"
    )
    nodes: Nodes = {"node1": worlds.promoted(worlds.primary(), FORK_LSN), "node2": node}
    assert judge("duet", nodes).next == BY_HAND
    node["unusable"] = True
    assert (judge("duet", nodes).next or "").startswith("Wait a moment")


@pytest.mark.parametrize(
    ("attempts", "said"),
    [
        (FAILED, "node2 could not rejoin by itself, in 2 of 5 attempts: No room. The next attempt is in 4 min."),
        (
            {**FAILED, "next_at": NOW - 1},
            "node2 could not rejoin by itself, in 2 of 5 attempts: No room. The next attempt is in less than a minute.",
        ),
        (
            {**FAILED, "attempts": 5, "next_at": None},
            "node2 could not rejoin by itself, in 5 of 5 attempts: No room. It is tried no more.",
        ),
        (
            {**FAILED, "attempts": 5, "next_at": None, "outcome": "running", "problem": ""},
            "node2 could not rejoin by itself, in 5 of 5 attempts: It was interrupted each time. It is tried no more.",
        ),
        ({**FAILED, "outcome": "declined", "problem": "Each may be."}, "node2 does not rejoin by itself: Each may be."),
    ],
)
def test_what_failed_is_said_with_the_command(attempts: dict[str, Any], said: str) -> None:
    found = judged(forked(attempts=attempts))
    assert said in found.reasons
    assert found.next == BY_HAND


@pytest.mark.parametrize("outcome", ["silent", "done"])
def test_what_is_no_failure_is_not_said(outcome: str) -> None:
    found = judged(forked(attempts={**FAILED, "outcome": outcome}))
    assert not [reason for reason in found.reasons if "itself" in reason]
    assert (found.next or "").startswith("Wait a moment")


@pytest.mark.parametrize("attempts", [FAILED, {**FAILED, "outcome": "declined"}, {**FAILED, "outcome": "done"}])
def test_whoever_streams_has_nothing_to_tell(attempts: dict[str, Any]) -> None:
    nodes: Nodes = {**worlds.pair()}
    assert nodes["node2"]
    nodes["node2"]["rejoin"]["attempts"] = attempts
    assert judge("duet", nodes).verdict == HEALTHY
