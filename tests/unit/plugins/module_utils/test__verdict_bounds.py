# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The finer points of a verdict: bounds, who is named by role, and what must not be blamed."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._standby_health import LAG_LIMIT_BYTES
from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import (
    DEGRADED,
    HEALTHY,
    judge,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Node, Nodes, both, changed, shut_out


def without_streaming() -> Node:
    return changed(worlds.secondary(), "postgresql", "receiver", to=None)


def with_record(age_s: float) -> Node:
    return changed(worlds.primary(), "operation", to=worlds.operation(age_s))


@pytest.mark.parametrize(
    ("primary", "secondary"), [("node1", "node2"), ("node2", "node1")], ids=["as assembled", "after a switchover"]
)
def test_a_healthy_cluster_needs_nothing(primary: str, secondary: str) -> None:
    nodes: Nodes = {primary: worlds.primary(primary, secondary), secondary: worlds.secondary(secondary, primary)}
    found = judge("duet", nodes)
    assert found.as_dict() == {
        "cluster": "duet",
        "verdict": HEALTHY,
        "primary": primary,
        "secondary": secondary,
        "reasons": [],
        "next": None,
    }


def test_the_bound_of_the_lag_itself_is_healthy() -> None:
    node = changed(worlds.secondary(), "postgresql", "lag_bytes", to=LAG_LIMIT_BYTES)
    assert judge("duet", both(worlds.primary(), node)).verdict == HEALTHY


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_roles_are_named_while_both_can_be_told(role: str) -> None:
    """Whoever reads the JSON document finds the nodes by role, also in a degraded cluster."""
    found = judge("duet", both(worlds.primary(), worlds.stopped("node2")))
    assert getattr(found, role) == {"primary": "node1", "secondary": "node2"}[role]


def test_a_half_assembled_cluster_names_the_primary_it_has() -> None:
    assert judge("duet", both(worlds.primary(), worlds.unassembled("node2"))).primary == "node1"


@pytest.mark.parametrize("node", [worlds.secondary("node1", "node2"), worlds.stopped("node1")])
def test_a_half_assembled_cluster_without_a_writer_has_no_primary(node: Node) -> None:
    plain = {**worlds.unassembled("node2"), "role": "primary"}
    assert judge("duet", both(node, plain)).primary is None


@pytest.mark.parametrize(("node", "secondary"), [(without_streaming(), "node2"), (worlds.stopped("node2"), None)])
def test_a_failed_cluster_names_the_secondary_that_still_runs(node: Node, secondary: str | None) -> None:
    assert judge("duet", both(None, node)).secondary == secondary


def test_the_address_counts_and_not_the_unit_that_took_it() -> None:
    """After a handover the address is there before its unit has been started."""
    node = changed(worlds.primary(), "services", worlds.ENDPOINT_UNIT, to=worlds.unit("inactive"))
    assert judge("duet", both(node, worlds.secondary())).verdict == HEALTHY


def test_a_writer_that_cannot_be_asked_is_not_blamed_for_what_nobody_saw() -> None:
    node = changed(shut_out(worlds.primary()), "postgresql", "slots", to=[])
    assert len(judge("duet", both(node, worlds.secondary())).reasons) == 1


@pytest.mark.parametrize(("age_s", "state"), [(60.0, "is running"), (60.1, "was interrupted")])
def test_an_operation_is_left_over_when_its_lease_has_run_out(age_s: float, state: str) -> None:
    assert state in judge("duet", both(with_record(age_s), worlds.secondary())).reasons[0]


def test_a_record_that_cannot_be_read_names_no_playbook() -> None:
    node = with_record(age_s=1e9)
    node["operation"].update(id="", kind="unreadable")
    found = judge("duet", both(node, worlds.secondary()))
    assert found.verdict == DEGRADED
    assert "unreadable" not in str(found.next)


def test_a_group_of_one_host_is_judged_too() -> None:
    found = judge("duet", {"node1": worlds.primary()})
    assert found.verdict == DEGRADED
    assert found.reasons == ["The cluster has no second node."]
    assert "None" not in str(found.next)
