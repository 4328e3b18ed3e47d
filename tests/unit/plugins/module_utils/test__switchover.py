# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a switchover must not begin: one world for each reason, and a sentence that names node, finding and need."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._switchover import (
    Limits,
    refusals,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.pair_changes import (
    MIB,
    SECOND_WRITER,
    Change,
    archive,
    behind_in_replay,
    behind_on_the_wire,
    clock,
    does_not_say_its_jobs,
    follows_another_timeline,
    foreign_streamers,
    has_a_fork,
    lets_nobody_in,
    nearly_full,
    not_a_copy,
    other_workload,
    parameter_too_small,
    primary,
    primary_lacks_the_endpoint,
    receives_nothing,
    replace,
    runs_jobs,
    secondary,
    secondary_has_the_endpoint,
    stopped_before_a_fork,
    through_another_slot,
    waits_to_receive,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Node

REFUSALS = [
    pytest.param(replace(node2=None), ["node2", "does not answer", "both nodes"], id="silent secondary"),
    pytest.param(replace(node1=None), ["node1", "does not answer", "both nodes"], id="silent primary"),
    pytest.param(
        replace(node2=worlds.unassembled("node2")), ["node2", "no node", "duet.backup_ha.assemble"], id="not a node"
    ),
    pytest.param(
        replace(node2=worlds.stopped("node2")),
        ["node2 is stopped", "needs a secondary that follows node1"],
        id="secondary stopped",
    ),
    pytest.param(replace(node2=SECOND_WRITER), ["node1 is primary, node2 is primary", "exactly one"], id="two writers"),
    pytest.param(
        replace(node1=worlds.secondary("node1", "node2")),
        ["node1 is secondary, node2 is secondary", "exactly one"],
        id="no writer",
    ),
    pytest.param(
        replace(node1=worlds.stopped("node1", "in production")),
        ["node1 is stopped, node2 is secondary", "exactly one"],
        id="crashed primary",
    ),
    pytest.param(
        replace(node1=worlds.stopped("node1"), node2=worlds.stopped("node2")),
        ["node1 is stopped, node2 is stopped", "exactly one"],
        id="both stopped",
    ),
    pytest.param(
        not_a_copy,
        ["node2 is not a standby of node1", worlds.OTHER_SYSTEM, worlds.SYSTEM],
        id="not a standby of this primary",
    ),
    pytest.param(
        receives_nothing, ["node2 does not stream from node1", "not running", "needs a secondary"], id="no receiver"
    ),
    pytest.param(
        waits_to_receive, ["node2 does not stream from node1", "waiting", "needs a secondary"], id="receiver waits"
    ),
    pytest.param(
        follows_another_timeline,
        ["node2 receives timeline 1, and node1 writes timeline 2", "duet.backup_ha.rejoin"],
        id="streams from an older timeline",
    ),
    pytest.param(
        has_a_fork,
        ["node2 has 77.2 KiB of WAL that node1 never got", "duet.backup_ha.rejoin"],
        id="streams up to its fork",
    ),
    pytest.param(
        stopped_before_a_fork,
        ["node2 has 77.2 KiB of WAL that node1 never got", "duet.backup_ha.rejoin"],
        id="a fork beside a primary that has stopped",
    ),
    pytest.param(
        through_another_slot, ["node2", "'somebodys'", "instead of 'backup_ha_node2'"], id="through another slot"
    ),
    pytest.param(
        behind_in_replay,
        ["node2 is 100.0 MiB behind node1", "16.0 MiB are allowed", "backup_ha_max_lag_bytes"],
        id="100 MB behind in replay",
    ),
    pytest.param(
        behind_on_the_wire,
        ["node2 is 100.0 MiB behind node1", "16.0 MiB are allowed", "backup_ha_max_lag_bytes"],
        id="100 MB behind on the wire",
    ),
    pytest.param(
        archive(failing=True, last_failed_wal="00000002.history", waiting=3),
        ["node1", "archiving fails", "00000002.history", "Mend"],
        id="failing archiver",
    ),
    pytest.param(
        archive(waiting=17), ["node1", "17 WAL files wait", "16 are allowed", "Wait until"], id="archiving backlog"
    ),
    pytest.param(
        foreign_streamers, ["node1", "barman, pg_receivewal", "delay its stop", "End them"], id="foreign WAL streamers"
    ),
    pytest.param(
        secondary_has_the_endpoint,
        ["node2", f"has the endpoint {worlds.ENDPOINT}", "Take it away"],
        id="endpoint on the secondary",
    ),
    pytest.param(
        primary_lacks_the_endpoint,
        ["node1", f"does not have the endpoint {worlds.ENDPOINT}", f"systemctl start {worlds.TARGET}"],
        id="endpoint not on the primary",
    ),
    pytest.param(
        other_workload, ["node1 has 9.6.7", "node2 has 11.0.6", "the same on both"], id="different workload versions"
    ),
    pytest.param(
        parameter_too_small,
        ["On node2 max_connections is 50", "primary has, or had, 100", "Raise it"],
        id="parameter too small",
    ),
    pytest.param(nearly_full, ["node2 has 511.0 MiB left where /var", "at least 512.0 MiB"], id="no room"),
    pytest.param(clock(5.2), ["clock of node2 is 5 s ahead of the primary's"], id="clock ahead"),
    pytest.param(clock(-61.0), ["clock of node2 is 61 s behind the primary's"], id="clock behind"),
    pytest.param(runs_jobs, ["Jobs run on node1 (2)", "Wait until", "backup_ha_on_busy: cancel"], id="jobs run"),
    pytest.param(
        does_not_say_its_jobs,
        ["on node1 runs and does not say how many jobs", "Make it answer", "backup_ha_on_busy: cancel"],
        id="jobs unknown",
    ),
    pytest.param(lets_nobody_in, ["node1 lets nobody in", "too many clients"], id="a server that lets nobody in"),
]


@pytest.mark.parametrize(("change", "words"), REFUSALS)
def test_one_reason_gives_one_sentence(change: Change, words: list[str]) -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    change(nodes)
    (sentence,) = refusals(nodes)
    assert [word for word in words if word not in sentence] == [], sentence


def test_a_healthy_pair_gives_no_reason() -> None:
    assert refusals({**worlds.pair()}) == []


def test_it_goes_the_other_way_round_as_well() -> None:
    assert refusals({"node1": worlds.secondary("node1", "node2"), "node2": worlds.primary("node2", "node1")}) == []


def test_several_reasons_give_several_sentences() -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    for change in (behind_in_replay, foreign_streamers, secondary_has_the_endpoint, other_workload):
        change(nodes)
    assert len(refusals(nodes)) == 4


@pytest.mark.parametrize(("lag", "allowed"), [(16 * MIB, True), (16 * MIB + 1, False)])
def test_the_bound_itself_is_allowed(lag: int, allowed: bool) -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    secondary(nodes)["postgresql"]["lag_bytes"] = lag
    assert (refusals(nodes) == []) is allowed


def test_the_operator_moves_the_bound() -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    behind_in_replay(nodes)
    assert refusals(nodes, Limits(lag_bytes=100 * MIB)) == []
    assert "1.0 MiB are allowed" in refusals(nodes, Limits(lag_bytes=MIB))[0]


@pytest.mark.parametrize("change", [runs_jobs, does_not_say_its_jobs])
def test_the_operator_lets_jobs_be_cut_off(change: Change) -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    change(nodes)
    assert refusals(nodes, Limits(cancel_jobs=True)) == []


@pytest.mark.parametrize("change", [runs_jobs, does_not_say_its_jobs])
def test_the_rest_of_an_interrupted_switchover_does_not_ask_for_jobs(change: Change) -> None:
    """The new primary's own: nobody cuts them off any more."""
    nodes: dict[str, Node | None] = {
        "node2": worlds.secondary("node2", "node1"),
        "node1": {**worlds.primary(), "operation": {**worlds.operation(), "target": "node1"}},
    }
    change(nodes)
    assert refusals(nodes) == []


@pytest.mark.parametrize(("waiting", "allowed"), [(16, True), (17, False)])
def test_a_few_files_may_wait_for_archiving(waiting: int, allowed: bool) -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    archive(waiting=waiting)(nodes)
    assert (refusals(nodes) == []) is allowed


def test_an_archiver_that_is_switched_off_may_have_failed() -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    archive(failing=True, waiting=99)(nodes)
    primary(nodes)["postgresql"]["archive"]["mode"] = "off"
    assert refusals(nodes) == []


@pytest.mark.parametrize("name", ["node1", "node2"])
def test_an_unknown_workload_version_is_no_difference(name: str) -> None:
    nodes = worlds.pair()
    nodes[name]["versions"]["workload"] = None
    assert refusals({**nodes}) == []


def test_only_the_secondary_s_own_stream_tells_how_far_it_is() -> None:
    """A base backup by the same role has no position, and a foreign streamer's is refused for itself."""
    nodes: dict[str, Node | None] = {**worlds.pair()}
    primary(nodes)["postgresql"]["senders"] += [
        worlds.sender("backup_ha", "pg_basebackup", lag=None),
        worlds.sender("barman", "barman", lag=100 * MIB),
    ]
    (sentence,) = refusals(nodes)
    assert "barman" in sentence


def test_a_secondary_that_knows_no_position_yet_is_measured_by_its_primary() -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    secondary(nodes)["postgresql"]["lag_bytes"] = None
    assert refusals(nodes) == []
