# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the secondary may take over: every finding, every refusal, and what must never happen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._failover import (
    ANSWERS,
    NOT_READY,
    PROVEN_DOWN,
    UNREACHABLE,
    Wishes,
    describe,
    examine,
    judge,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins import evidences, worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.evidences import BEGAN, Evidence, changed

WORD = Wishes(primary_is_off=True)
FENCE = Wishes(can_fence=True)
BROKEN = Wishes(fence_problem="fence.json is not JSON.")
LEFT_BEHIND = {"timeline": 4, "since": "0/3400000"}
FINDINGS = [
    pytest.param(evidences.silent(), UNREACHABLE, "node2 gets no answer, and nobody", id="silence"),
    pytest.param(
        changed(evidences.silent(), there={"ping": True}),
        UNREACHABLE,
        "node2 gets no answer except to ping",
        id="only ping",
    ),
    pytest.param(
        evidences.seen(None), UNREACHABLE, "node2 and the control node get no answer", id="silence everywhere"
    ),
    pytest.param(evidences.down(), PROVEN_DOWN, "says that no PostgreSQL runs there", id="its agent says so"),
    pytest.param(evidences.refused(), UNREACHABLE, "its agent does not say that no", id="refused here"),
    pytest.param(
        changed(evidences.silent(), local={"told_down": True}), PROVEN_DOWN, "says that no", id="only its agent answers"
    ),
    pytest.param(
        changed(evidences.down(), there={"port": "open"}), ANSWERS, "lets no session in", id="its agent is late"
    ),
    pytest.param(evidences.standby(), PROVEN_DOWN, "answers node2 and is read-only", id="read-only"),
    pytest.param(
        evidences.seen(None, port="refused"), UNREACHABLE, "which a firewall could do as well", id="refused there"
    ),
    pytest.param(evidences.seen(evidences.stopped()), PROVEN_DOWN, "is stopped, as the control", id="stopped"),
    pytest.param(
        evidences.seen(worlds.secondary("node1")), PROVEN_DOWN, "is read-only, as the control node", id="follows"
    ),
    pytest.param(
        evidences.seen(worlds.secondary("node1"), port="open"),
        PROVEN_DOWN,
        "is read-only, as the control node",
        id="an open port is no writer where SSH says so",
    ),
    pytest.param(
        changed(evidences.silent(), there={"port": "open", "session": "writer"}),
        ANSWERS,
        "answers node2 and accepts writes",
        id="a writer here",
    ),
    pytest.param(
        evidences.seen(worlds.primary()), ANSWERS, "accepts writes, as the control node sees", id="a writer there"
    ),
    pytest.param(
        changed(evidences.down(), control={"primary": worlds.primary()}),
        ANSWERS,
        "accepts writes, as the control node sees",
        id="a writer that only refuses this node",
    ),
    pytest.param(
        changed(evidences.silent(), local={"last_message": BEGAN + 0.1}), ANSWERS, "still sends WAL", id="it sends"
    ),
    pytest.param(
        changed(evidences.standby(), local={"last_message": BEGAN + 0.1}),
        PROVEN_DOWN,
        "is read-only",
        id="a standby that sends on is no writer",
    ),
    pytest.param(
        changed(evidences.silent(), there={"port": "open", "problem": "FATAL: too many clients"}),
        ANSWERS,
        "lets no session in (FATAL: too many clients)",
        id="full",
    ),
    pytest.param(
        changed(evidences.silent(), there={"port": "open"}), ANSWERS, "lets no session in (no answer)", id="it hangs"
    ),
    pytest.param(
        evidences.seen(None, port="open"),
        ANSWERS,
        "takes connections to its PostgreSQL from the control",
        id="open there",
    ),
    pytest.param(
        changed(evidences.down(), endpoint={"holder": "02:00:00:00:00:01"}),
        ANSWERS,
        "(02:00:00:00:00:01) answers for the endpoint 198.18.0.10 in node2's network",
        id="the endpoint's neighbour",
    ),
    pytest.param(changed(evidences.down(), endpoint={"port": "open"}), ANSWERS, "from node2", id="the endpoint's port"),
    pytest.param(
        evidences.seen(evidences.stopped(), endpoint_port="open"),
        ANSWERS,
        "at the endpoint 198.18.0.10 from the control node",
        id="the endpoint's port from outside",
    ),
    pytest.param(
        changed(evidences.down(), endpoint={"held_here": True}, control={"endpoint_port": "open"}),
        PROVEN_DOWN,
        "no PostgreSQL runs",
        id="the endpoint was left here",
    ),
    pytest.param(changed(evidences.down(), local={"role": "primary"}), NOT_READY, "is no standby", id="primary"),
    pytest.param(changed(evidences.down(), local={"member": False}), NOT_READY, "never been", id="never a copy"),
    pytest.param(changed(evidences.down(), local={"timeline": None}), NOT_READY, "unknown", id="no timeline"),
    pytest.param(changed(evidences.down(), local={"replayed": None}), NOT_READY, "unknown", id="no position"),
    pytest.param(changed(evidences.down(), local={"paused": True}), NOT_READY, "paused on node2", id="paused"),
    pytest.param(
        changed(evidences.down(), local={"paused": True, "too_small": ["On node2 max_connections is 50."]}),
        NOT_READY,
        "max_connections is 50",
        id="a parameter too small",
    ),
    pytest.param(
        changed(evidences.down(), local={"was_primary": True, "streamed": False}),
        NOT_READY,
        "backup-ha resume --alone",
        id="a former primary",
    ),
    pytest.param(
        changed(evidences.down(), local={"was_primary": True, "streamed": False, "began_to_take_over": True}),
        PROVEN_DOWN,
        "no PostgreSQL runs",
        id="a failover whose node lost its power in the middle",
    ),
    pytest.param(
        changed(evidences.down(), local={"was_primary": True}),
        PROVEN_DOWN,
        "no PostgreSQL runs",
        id="an interrupted failover",
    ),
    pytest.param(
        changed(evidences.down(), local={"outvoted": LEFT_BEHIND, "was_primary": True, "streamed": False}),
        NOT_READY,
        "timeline 4 of node1 began at 0/3400000 without what node2 has",
        id="a fork",
    ),
    pytest.param(
        changed(evidences.standby(timeline=4), local={"outvoted": LEFT_BEHIND}),
        NOT_READY,
        "Let node1 go on instead",
        id="a fork, and the other node is there",
    ),
    pytest.param(
        evidences.standby(timeline=4), NOT_READY, "node1 is on timeline 4, node2 only on 3", id="a newer timeline"
    ),
    pytest.param(
        evidences.standby(system=worlds.OTHER_SYSTEM), NOT_READY, "system identifiers differ", id="another system"
    ),
    pytest.param(
        evidences.seen(evidences.stopped(timeline=4)), NOT_READY, "newer data", id="a newer timeline on its disk"
    ),
]


@pytest.mark.parametrize(("evidence", "name", "said"), FINDINGS)
def test_findings(evidence: Evidence, name: str, said: str) -> None:
    found = judge(evidence)
    assert found.name == name, found
    assert said in " ".join(found.reasons)


REFUSALS = [
    pytest.param(
        evidences.silent(), Wishes(), ["--primary-is-off", "backup_ha_primary_is_off=node1", "backup_ha_fence"]
    ),
    pytest.param(evidences.silent(), WORD, []),
    pytest.param(changed(evidences.silent(), there={"ping": True}), WORD, ["said to be off", "answers ping"]),
    pytest.param(evidences.silent(), FENCE, []),
    pytest.param(evidences.down(), Wishes(), []),
    pytest.param(evidences.refused(), Wishes(), ["refused, which a firewall", "--primary-is-off"]),
    pytest.param(evidences.refused(), WORD, ["said to be off", "answers ping"]),
    pytest.param(changed(evidences.refused(), there={"ping": False}), WORD, []),
    pytest.param(evidences.silent(), BROKEN, ["The fence can't be used: fence.json is not JSON.", "--primary-is-off"]),
    pytest.param(changed(evidences.silent(), there={"port": "open"}), BROKEN, ["hangs", "fence.json is not JSON."]),
    pytest.param(
        changed(evidences.silent(), there={"ping": True}), replace(BROKEN, primary_is_off=True), ["fence.json is not"]
    ),
    pytest.param(evidences.silent(), replace(BROKEN, primary_is_off=True), []),
    pytest.param(evidences.down(), BROKEN, []),
    pytest.param(evidences.seen(worlds.primary()), WORD, ["not gone", "duet.backup_ha.switchover"]),
    pytest.param(evidences.seen(worlds.primary()), FENCE, ["not gone"]),
    pytest.param(changed(evidences.silent(), there={"port": "open"}), WORD, ["could be a primary that hangs"]),
    pytest.param(changed(evidences.silent(), there={"port": "open"}), FENCE, []),
    pytest.param(changed(evidences.down(), local={"paused": True}), Wishes(True, None, True), ["paused"]),
    pytest.param(
        changed(evidences.down(), local={"latest_end": "0/4500001"}),
        Wishes(),
        ["at least 16777217 bytes (16.0 MiB) are missing on node2; 16777216 may be lost"],
    ),
    pytest.param(changed(evidences.down(), local={"latest_end": "0/4500000"}), Wishes(), []),
    pytest.param(evidences.standby(lsn="0/3500010"), Wishes(max_loss_bytes=15), ["wrote, 16 bytes", "15 may be lost"]),
    pytest.param(evidences.standby(lsn="0/3500010"), Wishes(max_loss_bytes=16), []),
    pytest.param(evidences.down(), Wishes(max_loss_bytes=0), ["can't be known"]),
    pytest.param(evidences.standby(), Wishes(max_loss_bytes=0), []),
    pytest.param(changed(evidences.down(), local={"synchronous": True}), Wishes(), []),
    pytest.param(
        changed(evidences.silent(), local={"outvoted": LEFT_BEHIND}),
        Wishes(True, 2**40, True),
        ["Bring node1 back", "everything that was written there since is lost", "on node2: backup-ha resume --alone"],
    ),
    pytest.param(changed(evidences.down(), local={"synchronous": True, "latest_end": "0/3500001"}), Wishes(), []),
]


@pytest.mark.parametrize(("evidence", "wishes", "said"), REFUSALS)
def test_refusals(evidence: Evidence, wishes: Wishes, said: list[str]) -> None:
    report = examine(evidence, wishes)
    assert bool(report.refusals) == bool(said), report.refusals
    assert [words for words in said if words not in " ".join(report.refusals)] == [], report.refusals


@pytest.mark.parametrize(
    ("evidence", "wishes", "needed"),
    [
        (evidences.silent(), FENCE, True),
        (evidences.silent(), Wishes(), False),
        (evidences.silent(), Wishes(True, None, True), False),
        (evidences.down(), FENCE, False),
        (changed(evidences.silent(), there={"port": "open"}), Wishes(True, None, True), True),
        (evidences.seen(worlds.primary()), FENCE, False),
    ],
)
def test_when_a_fence_is_needed(evidence: Evidence, wishes: Wishes, needed: bool) -> None:
    assert examine(evidence, wishes).fence_needed is needed


def test_the_history_keeps_the_finding_and_the_word() -> None:
    assert examine(evidences.silent(), WORD).why.endswith("The operator's word: node1 is off.")
    assert "word" not in examine(evidences.down(), WORD).why
    fenced = examine(evidences.silent(), WORD, fenced=True)
    assert "The fence reported that node1 is off." in fenced.why and "word" not in fenced.why
    assert describe(fenced)[0] == "The fence reported that node1 is off."
