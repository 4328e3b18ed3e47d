"""Partitions: a primary that lost only the secondary goes on, and a link that comes and goes moves no roles."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import within
from tests.scenarios.test_agent import TIMELINE, commits, is_protected
from tests.scenarios.watching import watch_over


@pytest.fixture
def linked(cluster: Cluster) -> Iterator[Cluster]:
    yield cluster
    cluster.lab.mend_link()
    cluster.settle(cluster.primary)


@pytest.mark.parametrize(
    "silent",
    [
        pytest.param("the primary", marks=pytest.mark.later),
        pytest.param("the secondary", marks=pytest.mark.later),
        "both",
    ],
)
def test_a_primary_that_lost_only_the_secondary_goes_on(linked: Cluster, tmp_path: Path, silent: str) -> None:
    lab, primary, secondary = linked.lab, linked.primary, linked.secondary
    timeline = lab.sql(primary, TIMELINE)

    def part_and_mend() -> None:
        if silent == "both":
            lab.cut_link()
        else:
            lab.cut_one_way(primary if silent == "the primary" else secondary)
        within(60, lambda: not is_protected(lab, primary), "commits do not wait any more")
        assert commits(lab, primary), "the word was taken back, and the primary does not go on"
        time.sleep(18)  # longer than a primary may be without anybody
        assert commits(lab, primary) and lab.has_endpoint(primary)
        assert lab.writers() == [primary]
        lab.mend_link()

    assert watch_over(linked, tmp_path).over(part_and_mend, primary) == primary
    assert lab.sql(primary, TIMELINE) == timeline, "nobody was promoted"


@pytest.mark.later
def test_a_link_that_comes_and_goes_moves_no_roles(linked: Cluster, tmp_path: Path) -> None:
    lab, primary = linked.lab, linked.primary
    timeline = lab.sql(primary, TIMELINE)

    def flap() -> None:
        for up_s in (0.5, 1, 2, 3, 5, 8):
            lab.cut_link()
            time.sleep(4)
            lab.mend_link()
            time.sleep(up_s)

    assert watch_over(linked, tmp_path).over(flap, primary) == primary
    assert lab.sql(primary, TIMELINE) == timeline, "nobody was promoted"
