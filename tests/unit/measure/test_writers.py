# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two writers, found among made probes, and never denied without a look."""

from __future__ import annotations

from dataclasses import replace

import pytest

from measure.records import Outcome, Probe
from measure.writers import Needs, judge

NODES = ("node1", "node2")
NEEDS = Needs(probes=10, blind_ms=100)


def written(node: str, timeline: int, *spans_ms: tuple[float, float]) -> list[Probe]:
    """Accepted probes that started and finished at these times."""
    return [Probe(node, timeline, a / 1000, b / 1000, Outcome.ACCEPTED) for a, b in spans_ms]


def steadily(node: str, timeline: int, begin_ms: int, end_ms: int) -> list[Probe]:
    """Accept a probe every 10 ms, each taking 5 ms."""
    return written(node, timeline, *((ms, ms + 5) for ms in range(begin_ms, end_ms, 10)))


def refused(node: str, begin_ms: int, end_ms: int, outcome: Outcome = Outcome.REFUSED) -> list[Probe]:
    return [replace(p, timeline=None, outcome=outcome) for p in steadily(node, 0, begin_ms, end_ms)]


SWITCHOVER = [
    *steadily("node1", 1, 0, 400),
    *refused("node1", 400, 500, Outcome.UNREACHABLE),
    *refused("node1", 500, 1000),
    *refused("node2", 0, 450),
    *steadily("node2", 2, 450, 1000),
]


def test_a_clean_switchover_has_one_writer_at_a_time() -> None:
    verdict = judge(SWITCHOVER, NODES, 0, 1, replace(NEEDS, accepted_on=frozenset(NODES)))
    assert verdict.two_writers is False
    assert verdict.why == ()
    assert verdict.counts["node1"].accepted == 40
    assert verdict.counts["node1"].unreachable == 10
    assert verdict.counts["node2"].refused == 45


@pytest.mark.parametrize(
    ("probes", "expected"),
    [
        pytest.param(
            [*written("node1", 1, (20, 21)), *written("node2", 2, (10, 15))],
            True,
            id="old timeline after the new",
        ),
        pytest.param(
            [*written("node2", 1, (20, 21)), *written("node1", 2, (10, 15))],
            True,
            id="the same, nodes exchanged",
        ),
        pytest.param(
            [*written("node1", 1, (0, 1), (20, 21), (30, 31)), *written("node2", 5, (10, 15), (40, 41))],
            True,
            id="once among others",
        ),
        pytest.param(
            [*written("node1", 1, (10, 30)), *written("node2", 2, (20, 21))],
            None,
            id="a slow answer proves nothing",
        ),
        pytest.param(
            [*written("node1", 1, (10, 90)), *written("node2", 2, (20, 95))],
            None,
            id="overlapping answers neither",
        ),
        pytest.param(
            [*written("node1", 1, (15, 16)), *written("node2", 2, (10, 15))],
            None,
            id="at the very same moment",
        ),
        pytest.param(
            [*written("node1", 1, (0, 1)), *written("node2", 2, (5, 6)), *written("node1", 3, (9, 10))],
            None,
            id="there and back again",
        ),
        pytest.param(
            [*written("node1", 1, (0, 1)), *written("node2", 2, (5, 6)), *written("node1", 1, (9, 10))],
            True,
            id="back without a promotion",
        ),
        pytest.param(
            [*written("node1", 3, (0, 1), (20, 21)), *written("node2", 3, (10, 11))],
            True,
            id="same number in turns",
        ),
        pytest.param(
            [*written("node1", 3, (0, 10)), *written("node2", 3, (5, 15))],
            True,
            id="same number, overlapping",
        ),
        pytest.param(
            [*written("node1", 3, (0, 1), (2, 3)), *written("node2", 3, (3, 4), (5, 6))],
            None,
            id="same number, one after the other",
        ),
        pytest.param(
            [*written("node2", 3, (0, 1), (2, 3)), *written("node1", 3, (3, 4), (5, 6))],
            None,
            id="one after the other, nodes exchanged",
        ),
        pytest.param(
            [*written("node1", 1, (0, 1), (20, 21)), *written("node1", 2, (5, 6))],
            None,
            id="one node is no two",
        ),
        pytest.param(
            [*written("node1", 1, (20, 21)), *refused("node2", 0, 100)],
            None,
            id="a refused write is no write",
        ),
    ],
)
def test_proofs(probes: list[Probe], expected: bool | None) -> None:
    """None here only says that so few probes could not have denied it either."""
    verdict = judge(probes, NODES, 0, 0.1, NEEDS)
    assert verdict.two_writers is expected


def test_a_made_second_writer_is_found_in_a_real_looking_switchover() -> None:
    made = [*SWITCHOVER, *written("node1", 1, (470, 472))]
    verdict = judge(made, NODES, 0, 1, NEEDS)
    assert verdict.two_writers is True
    assert verdict.why == (
        "node1 accepted a write on timeline 1 that started 15.0 ms after node2 had finished one on timeline 2",
    )


def test_two_writers_are_true_even_where_nobody_looked_enough() -> None:
    seen = [*written("node1", 1, (2000, 2001)), *written("node2", 2, (1000, 1001))]
    assert judge(seen, NODES, 0, 1, NEEDS).two_writers is True


@pytest.mark.parametrize(
    ("probes", "why"),
    [
        pytest.param([], "no node accepted any probe", id="nothing"),
        pytest.param([*refused("node1", 0, 1000), *refused("node2", 0, 1000)], "no node accepted", id="only refusals"),
        pytest.param([p for p in SWITCHOVER if p.node == "node1"], "node2: 0 probes", id="one node not watched"),
        pytest.param(SWITCHOVER[::20], "probes, 10 needed", id="too few"),
        pytest.param(
            [p for p in SWITCHOVER if not 0.4 < p.started < 0.6], "not watched for", id="a hole in the middle"
        ),
        pytest.param([p for p in SWITCHOVER if p.started < 0.8], "not watched for", id="watching ended early"),
        pytest.param([p for p in SWITCHOVER if p.started > 0.2], "not watched for", id="watching began late"),
        pytest.param(
            [p if p.node == "node1" else replace(p, outcome=Outcome.BROKEN) for p in SWITCHOVER],
            "node2: 0 probes",
            id="a wrong password is not a refusal",
        ),
        pytest.param(
            [*steadily("node1", 1, 0, 1000), *refused("node2", 0, 1000)],
            "node2: was primary in the window, but no probe was accepted",
            id="the new primary's writes were not seen",
        ),
    ],
)
def test_too_little_seen_is_unknown_and_not_false(probes: list[Probe], why: str) -> None:
    verdict = judge(probes, NODES, 0, 1, replace(NEEDS, accepted_on=frozenset({"node2"})))
    assert verdict.two_writers is None
    assert any(why in reason for reason in verdict.why), verdict.why


def test_one_node_alone_cannot_be_judged() -> None:
    verdict = judge(steadily("node1", 1, 0, 1000), ["node1"], 0, 1, NEEDS)
    assert verdict.two_writers is None
    assert "1 node watched, 2 needed" in verdict.why


def test_a_probe_that_hung_counts_as_a_hole() -> None:
    hung = Probe("node1", None, 0.4, 0.7, Outcome.DOUBT)
    probes = [p for p in SWITCHOVER if p.node == "node2" or not 0.4 <= p.started < 0.7] + [hung]
    count = judge(probes, NODES, 0, 1, NEEDS).counts["node1"]
    assert count.blind_ms == pytest.approx(305)
    assert count.doubt == 1
