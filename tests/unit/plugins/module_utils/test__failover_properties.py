# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever was seen: a failover never goes on while anybody sees a writer."""

from __future__ import annotations

from typing import Any

from ansible_collections.duet.backup_ha.plugins.module_utils._failover import (
    UNREACHABLE,
    Wishes,
    describe,
    examine,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins import evidences, worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.evidences import BEGAN, RECEIVED, Evidence
from hypothesis import given
from hypothesis import strategies as st


def facts(**values: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: st.sampled_from(choice) for name, choice in values.items()})


PORTS = ["open", "refused", "silent"]
NODES = [None, {}, worlds.primary(), worlds.secondary("node1"), evidences.stopped(), worlds.unassembled("node1")]
THERE = facts(port=PORTS, session=["writer", "standby", "none"], problem=[None, "FATAL"], ping=[True, False])
EVERYTHING = {
    "there": THERE,
    "endpoint": facts(held_here=[True, False], holder=[None, "02:00:00:00:00:01"], port=PORTS),
    "control": facts(primary=NODES, port=PORTS, endpoint_port=PORTS) | st.none(),
    "local": facts(
        role=["secondary", "primary"],
        member=[True, False],
        paused=[True, False],
        was_primary=[True, False],
        streamed=[True, False],
        told_down=[True, False],
        last_message=[None, BEGAN - 1, BEGAN + 1],
        latest_end=[None, RECEIVED, "0/9000000"],
        synchronous=[True, False],
    ),
}
WISHES = st.builds(Wishes, st.booleans(), st.sampled_from([None, 0, 1 << 40]), st.booleans())


def a_writer_was_seen(evidence: Evidence) -> bool:
    """Anybody's sight of a writer, said again and on its own."""
    node = (evidence["control"] or {}).get("primary") or {}
    sends = (evidence["local"]["last_message"] or 0) > BEGAN and evidence["there"]["session"] != "standby"
    return evidence["there"]["session"] == "writer" or node.get("role") == "primary" or sends


def somebody_has_the_endpoint(evidence: Evidence) -> bool:
    ports = [evidence["endpoint"]["port"], (evidence["control"] or {}).get("endpoint_port")]
    return not evidence["endpoint"]["held_here"] and (bool(evidence["endpoint"]["holder"]) or "open" in ports)


@given(parts=st.fixed_dictionaries(EVERYTHING), wishes=WISHES, fenced=st.booleans())
def test_never_while_anybody_sees_a_writer(parts: dict[str, Any], wishes: Wishes, fenced: bool) -> None:
    evidence = {**evidences.silent(), **parts, "local": {**evidences.silent()["local"], **parts["local"]}}
    report = examine(evidence, wishes, fenced)
    goes = not report.refusals
    if a_writer_was_seen(evidence):
        assert not goes and not report.fence_needed
    if somebody_has_the_endpoint(evidence):
        assert not goes or report.fence_needed
    if report.finding.name == UNREACHABLE and not report.fence_needed:
        assert not goes or (wishes.primary_is_off and not evidence["there"]["ping"])
    if evidence["local"]["role"] != "secondary" or not evidence["local"]["member"]:
        assert not goes
    assert report.finding.reasons
    assert all(sentence[-1] in ".)" for sentence in [*report.refusals, *describe(report)])
