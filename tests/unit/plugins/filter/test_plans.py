# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans as playbooks get them: plain data in, plain data out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.duet.backup_ha.plugins.filter import assembly_plan as assembly
from ansible_collections.duet.backup_ha.plugins.filter import failover_plan as failover
from ansible_collections.duet.backup_ha.plugins.filter import switchover_plan as switchover
from ansible_collections.duet.backup_ha.plugins.filter.assembly_plan import assembly_plan
from ansible_collections.duet.backup_ha.plugins.filter.failover_plan import failover_plan
from ansible_collections.duet.backup_ha.plugins.filter.switchover_plan import switchover_plan
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.servers import ENDPOINT_NAME, blank, found, full
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import ENDPOINT, both

# As roles/assemble hands it over.
WANTED: dict[str, Any] = {
    "endpoint_address": ENDPOINT,
    "endpoint_name": ENDPOINT_NAME,
    "initial_primary": "",
    "erase_secondary": "",
    "maximum_clock_difference_s": 1.0,
}
SERVERS = [asdict(full("node1")), asdict(blank("node2"))]


def test_filters_have_the_names_of_their_files() -> None:
    assert assembly.FilterModule().filters() == {"assembly_plan": assembly_plan}
    assert switchover.FilterModule().filters() == {"switchover_plan": switchover_plan}


@pytest.mark.parametrize("servers", [SERVERS, SERVERS[::-1]], ids=["as listed", "the other way round"])
def test_the_plan_of_an_assembly(servers: list[dict[str, Any]]) -> None:
    assert assembly_plan(servers, "duet", WANTED) == {
        "primary": "node1",
        "secondary": "node2",
        "refusals": [],
        "restarts": ["listen_addresses = *", "wal_log_hints = on"],
        "erase": False,
    }


def test_the_word_that_allows_to_erase_arrives() -> None:
    assert assembly_plan(SERVERS, "duet", {**WANTED, "erase_secondary": "node2"})["erase"] is True


@pytest.mark.parametrize("count", [1, 3])
def test_a_cluster_of_another_size_gets_no_plan(count: int) -> None:
    servers = [*SERVERS, {**SERVERS[1], "name": "node3"}][:count]
    plan = assembly_plan(servers, "duet", WANTED)
    assert (plan["primary"], plan["secondary"]) == (None, None)
    assert f"has {count} hosts" in plan["refusals"][0]


def test_without_a_primary_nothing_else_is_compared() -> None:
    plan = assembly_plan(SERVERS, "duet", {**WANTED, "initial_primary": "node2"})
    assert (plan["primary"], plan["secondary"], plan["restarts"]) == (None, None, [])
    assert len(plan["refusals"]) == 1


def test_the_wishes_of_the_inventory_are_heard() -> None:
    plan = assembly_plan(SERVERS, "duet", {**WANTED, "endpoint_name": "other.lab.test"})
    assert len(plan["refusals"]) == 2
    assert plan["primary"] == "node1", "who would be primary is told also when there are refusals"


def test_a_blank_pair_needs_no_restart() -> None:
    servers = [{**asdict(blank(name)), "found": found(name, None)} for name in ("node1", "node2")]
    assert assembly_plan(servers, "duet", WANTED)["restarts"] == []


@pytest.mark.parametrize(
    ("servers", "wanted"),
    [([{**SERVERS[0], "colour": "red"}, SERVERS[1]], WANTED), (SERVERS, {**WANTED, "colour": "red"})],
    ids=["of a server", "of a wish"],
)
def test_an_unknown_property_is_named(servers: list[dict[str, Any]], wanted: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match=r"assembly_plan: .*colour"):
        assembly_plan(servers, "duet", wanted)


def test_the_plan_of_a_switchover() -> None:
    plan = switchover_plan({**worlds.pair()})
    assert (plan["giver"], plan["taker"], plan["refusals"], plan["resumes"]) == ("node1", "node2", [], False)


def test_an_empty_observation_is_a_node_that_does_not_answer() -> None:
    plan = switchover_plan({"node1": worlds.primary(), "node2": {}})
    assert plan["refusals"] == ["node2 does not answer over SSH; a switchover needs both nodes."]


@pytest.mark.parametrize(("limit", "refused"), [(100, True), ("100", True), (200, False), ("200", False)])
def test_the_operator_s_limit_counts_also_as_text(limit: Any, refused: bool) -> None:
    """Extra variables on the command line are text."""
    secondary = worlds.changed(worlds.secondary(), "postgresql", "lag_bytes", to=150)
    plan = switchover_plan(both(worlds.primary(), secondary), max_lag_bytes=limit)
    assert bool(plan["refusals"]) is refused


STOP = {"flush_s": 2.0, "checkpoint_s": 0.5, "archive_file_s": None, "workload_s": None}


def test_the_plan_says_how_long_the_stop_will_take_and_whose_streams_will_be_ended() -> None:
    giver = {**worlds.primary(), "stop": STOP}
    giver["postgresql"]["senders"].append(worlds.sender("postgres", "pg_receivewal", lag=None))
    plan = switchover_plan(both(giver, worlds.secondary()), on_foreign_streamers="end")
    assert plan["refusals"] == []
    assert plan["forecast"]["stop_s"] == 0.55
    assert plan["said"].startswith("The stop will take about 0.55 s (0.50 s for its checkpoint); nobody will write")
    assert plan["said"].endswith("Streams of WAL that will be ended just before: pg_receivewal.")


def test_without_a_measurement_the_plan_says_nothing() -> None:
    plan = switchover_plan({**worlds.pair()})
    assert (plan["forecast"], plan["said"]) == (None, "")


@pytest.mark.parametrize(
    ("limit", "word"),
    [
        ({"timeout": "0.5"}, "backup_ha_switchover_timeout"),
        ({"deadline": "2"}, "backup_ha_switchover_deadline"),
        ({"max_archive_waiting": "1"}, "backup_ha_max_archive_waiting"),
    ],
)
def test_each_limit_arrives(limit: dict[str, Any], word: str) -> None:
    giver = {**worlds.primary(), "stop": STOP}
    giver["postgresql"]["archive"].update(mode="on", waiting=2, failing=False)
    plan = switchover_plan(both(giver, worlds.secondary()), **limit)
    assert [word in reason for reason in plan["refusals"]] == [True]


@pytest.mark.parametrize(("on_busy", "refused"), [("abort", True), ("cancel", False)])
def test_what_running_jobs_mean_arrives(on_busy: str, refused: bool) -> None:
    giver = {**worlds.primary(), "jobs": 1}
    plan = switchover_plan(both(giver, worlds.secondary()), on_busy=on_busy)
    assert ["backup_ha_on_busy" in reason for reason in plan["refusals"]] == [True] * refused


def test_the_rest_of_an_interrupted_switchover_is_marked() -> None:
    record = {**worlds.operation(age_s=90), "target": "node2"}
    giver = {**worlds.stopped("node1", "shut down"), "operation": record}
    plan = switchover_plan(both(giver, worlds.primary("node2", "node1")))
    assert (plan["giver"], plan["taker"], plan["refusals"], plan["resumes"]) == ("node1", "node2", [], True)


def test_the_plan_of_a_failover() -> None:
    assert failover.FilterModule().filters() == {"failover_plan": failover_plan}
    nodes = both({}, worlds.secondary())
    assert failover_plan(nodes) == {
        "primary": "node1",
        "secondary": "node2",
        "answering": ["node2"],
        "refusals": [],
    }
    assert failover_plan(both({}, {}))["refusals"] != []
