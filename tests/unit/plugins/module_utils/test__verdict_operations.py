# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verdict says about operations that run or were interrupted."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import DEGRADED, FAILED, HEALTHY, judge
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Node, Nodes, both, changed


def with_record(age_s: float) -> Node:
    return changed(worlds.primary(), "operation", to=worlds.operation(age_s))


# (nodes, verdict, words of the reasons, words of what comes next)
TABLE = [
    pytest.param(
        both(with_record(age_s=3), worlds.secondary()),
        DEGRADED,
        ["'switchover' by root@control is running"],
        "Wait a moment",
        id="an operation runs",
    ),
    pytest.param(
        both(with_record(age_s=61), worlds.secondary()),
        DEGRADED,
        ["'switchover' by root@control was interrupted; run it again"],
        "duet.backup_ha.switchover",
        id="an operation was interrupted",
    ),
    pytest.param(
        both(
            changed(with_record(age_s=61), "operation", "step", to="stop_primary"),
            changed(worlds.secondary(), "operation", to={**worlds.operation(61), "step": "await_promotion"}),
        ),
        DEGRADED,
        ["interrupted; run it again to finish it (node1 began to stop primary, node2 began to await promotion)."],
        "duet.backup_ha.switchover",
        id="an operation was interrupted, and where",
    ),
    pytest.param(
        both(worlds.stopped("node1") | {"operation": worlds.operation(61)}, worlds.secondary()),
        FAILED,
        ["No node that answers accepts writes", "'switchover' by root@control was interrupted"],
        "",
        id="an operation was interrupted, and nobody serves",
    ),
]


@pytest.mark.parametrize(("nodes", "verdict", "reasons", "following"), TABLE)
def test_table(nodes: Nodes, verdict: str, reasons: list[str], following: str) -> None:
    found = judge("duet", nodes)
    said = " ".join(found.reasons)
    assert found.verdict == verdict, said
    assert [words for words in reasons if words not in said] == [], said
    assert found.next and following in found.next


@pytest.mark.parametrize(("step", "verdict"), [("", HEALTHY), ("capture_files", DEGRADED)])
def test_an_operation_that_was_killed_before_its_first_step_left_nothing(step: str, verdict: str) -> None:
    """Its playbook may be refused now, and would be named for ever."""
    record = {**worlds.operation(61), "step": step}
    nodes = both(worlds.primary() | {"operation": record}, worlds.secondary() | {"operation": {**record, "step": ""}})
    assert judge("duet", nodes).verdict == verdict


def test_one_that_may_still_begin_is_shown() -> None:
    record = {**worlds.operation(3), "step": ""}
    nodes = both(worlds.primary() | {"operation": record}, worlds.secondary())
    assert judge("duet", nodes).verdict == DEGRADED
