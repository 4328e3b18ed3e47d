"""The playbook status gives the right verdict and exit code, whoever is down. The benchmark measures how fast."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.scenarios.cluster import DIRECTOR, Cluster
from tests.scenarios.support import NODES, UNIT, within

NEXT_COMMAND = re.compile(r"^On (\w+): ((?:systemctl|backup-ha) .*)$")


@dataclass(frozen=True)
class Answer:
    """The answer about one cluster, as JSON gave it."""

    verdict: str
    reasons: str
    next: str
    primary: str | None


def ask(cluster: Cluster) -> Answer:
    """Ask for the verdict as JSON; the exit code is as it has to be."""
    outcome = cluster.lab.play("status", "-e", "backup_ha_output=json")
    (found,) = outcome.document["clusters"]
    assert (outcome.code == 0) == (found["verdict"] == "healthy"), outcome
    assert set(found["nodes"]) == set(NODES)
    return Answer(found["verdict"], " ".join(found["reasons"]), found["next"] or "", found["primary"])


def follow(cluster: Cluster, answer: Answer) -> None:
    """Run the command that the answer names as the next one."""
    command = NEXT_COMMAND.match(answer.next)
    assert command, answer
    cluster.lab.sh(command[1], command[2])


def test_a_healthy_cluster(cluster: Cluster) -> None:
    answer = ask(cluster)
    assert (answer.verdict, answer.reasons, answer.primary) == ("healthy", "", cluster.primary)
    table = cluster.lab.play("status")
    assert table.code == 0
    row = re.search(rf"^{cluster.primary} +primary .* here +1 of 1 run$", table.output, re.MULTILINE)
    assert table.verdict == "healthy" and row, table


@pytest.mark.parametrize("output", ["table", "json"])
def test_the_primary_is_down(cluster: Cluster, output: str) -> None:
    cluster.lab.power_off(cluster.primary)
    if output == "table":
        table = cluster.lab.play("status")
        assert table.verdict == "failed" and table.code != 0, table
        assert f"{cluster.primary} does not answer" in table.said and "Next: " in table.said, table
    else:
        answer = ask(cluster)
        assert answer.verdict == "failed", answer
        assert f"{cluster.primary} does not answer" in answer.reasons and cluster.primary in answer.next, answer
    cluster.lab.power_on(cluster.primary)
    cluster.settle(cluster.primary)


def test_the_secondary_is_down(cluster: Cluster) -> None:
    cluster.lab.power_off(cluster.secondary)
    answer = ask(cluster)
    assert (answer.verdict, answer.primary) == ("degraded", cluster.primary), answer
    assert f"{cluster.secondary} does not answer" in answer.reasons and cluster.secondary in answer.next, answer
    cluster.lab.power_on(cluster.secondary)
    cluster.settle(cluster.primary)


def test_both_nodes_are_down(cluster: Cluster) -> None:
    for node in NODES:
        cluster.lab.power_off(node)
    answer = ask(cluster)
    assert answer.verdict == "unknown" and answer.next, answer
    assert all(f"{node} does not answer" in answer.reasons for node in NODES), answer
    for node in NODES:
        cluster.lab.power_on(node)
    cluster.settle(cluster.primary)


def test_a_frozen_primary_does_not_freeze_the_answer(cluster: Cluster) -> None:
    """Its kernel still takes connections and nobody behind them answers: the hardest way to be down."""
    cluster.lab.podman("pause", cluster.primary)
    try:
        answer = ask(cluster)
    finally:
        cluster.lab.podman("unpause", cluster.primary)
    assert answer.verdict != "healthy" and cluster.primary in answer.reasons, answer
    cluster.settle(cluster.primary)


def test_postgresql_is_stopped_on_the_secondary(cluster: Cluster) -> None:
    cluster.lab.sh(cluster.secondary, f"systemctl stop {UNIT}")
    answer = ask(cluster)
    assert (answer.verdict, answer.primary) == ("degraded", cluster.primary), answer
    assert f"PostgreSQL is stopped on the secondary {cluster.secondary}" in answer.reasons, answer
    follow(cluster, answer)
    cluster.settle(cluster.primary)


def test_postgresql_is_stopped_on_the_primary(cluster: Cluster) -> None:
    cluster.lab.sh(cluster.primary, f"systemctl stop {UNIT}")
    answer = ask(cluster)
    assert answer.verdict == "failed" and f"{cluster.primary} is stopped" in answer.reasons, answer
    assert f"systemctl start {UNIT}" in answer.next, answer
    cluster.lab.sh(cluster.primary, f"systemctl start {UNIT}")
    cluster.settle(cluster.primary)


def test_the_link_between_the_nodes_is_cut(cluster: Cluster) -> None:
    silent = f"{cluster.secondary} does not stream from {cluster.primary}"  # the primary notices before its secondary
    cluster.lab.cut_link()
    try:
        answer = within(30, lambda: silent in (found := ask(cluster)).reasons and found, silent)
    finally:
        cluster.lab.mend_link()
    assert (answer.verdict, answer.primary) == ("degraded", cluster.primary), answer
    cluster.settle(cluster.primary)


def test_the_endpoint_is_missing(cluster: Cluster) -> None:
    cluster.lab.sh(cluster.primary, f"ip address del {cluster.lab.endpoint}/24 dev eth0")
    answer = ask(cluster)
    assert answer.verdict == "failed", answer
    assert f"does not have the endpoint {cluster.lab.endpoint}" in answer.reasons, answer
    follow(cluster, answer)
    cluster.settle(cluster.primary)


def test_the_director_is_stopped(cluster: Cluster) -> None:
    cluster.lab.sh(cluster.primary, f"systemctl stop {DIRECTOR}")
    answer = ask(cluster)
    assert answer.verdict == "failed" and DIRECTOR in answer.reasons, answer
    follow(cluster, answer)
    cluster.settle(cluster.primary)
