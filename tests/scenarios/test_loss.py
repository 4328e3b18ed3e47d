"""What a failover says that it loses, against what the old primary's disk shows when it comes back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import UNIT
from tests.scenarios.taking_over import DONE, failover, sure
from tests.scenarios.test_rejoin import come_back, forks, in_step, summary

pytestmark = pytest.mark.usefixtures("by_hand")

# Two transactions that the other node never gets, whether or not commits are to wait for it.
LOST = """
SET synchronous_commit = local;
DROP TABLE IF EXISTS scenario_lost;
CREATE TABLE scenario_lost AS SELECT n, repeat(md5(n::text), 30) AS t FROM generate_series(1, 3000) AS n;
UPDATE scenario_lost SET n = 7 WHERE n = 1;
"""
# The shutdown checkpoint, and what the other node has of a record that is not whole.
LAST_RECORDS = 512


@contextmanager
def lost(cluster: Cluster) -> Iterator[None]:
    """The primary writes what the secondary never gets."""
    lab = cluster.lab
    in_step(cluster)
    time.sleep(1.5)  # the secondary hears from the primary later than from what came before
    lab.cut_link()
    try:
        lab.sql(cluster.primary, LOST, "bacula")
        yield
    finally:
        lab.sh(cluster.secondary, "iptables -F")


def rejoined(cluster: Cluster, before: list[str]) -> dict[str, Any]:
    """The old primary has come back; what the rejoin found on its disk."""
    lab, node = cluster.lab, cluster.primary
    said = lab.sh(node, "backup-ha rejoin")
    (fork,) = set(forks(lab, node)) - set(before)
    found = summary(lab, node, fork)
    assert f"with {found['commits']} committed transactions" in said and "never reached" in said, said
    cluster.settle(cluster.secondary)
    changed = {row["table"]: row["inserted"] for row in found["tables"]}
    assert changed.get("public.scenario_lost") == 3000 and found["commits"] >= 2, found
    return found


def position(lsn: str) -> int:
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def test_of_a_silent_primary_it_says_the_least_and_since_when(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    before = forks(lab, old)
    with lost(cluster):
        lab.power_off(old)
    answer = failover(lab, new, "--yes", "--primary-is-off", "--json")
    assert answer.code == DONE, answer
    told, seen = answer.document["loss"], answer.document["evidence"]["local"]
    come_back(cluster)
    found = rejoined(cluster, before)
    assert not told["exact"] and (told["missing_bytes"] or 0) <= found["bytes"], (told, found)
    assert position(found["fork_lsn"]) <= position(seen["received"]), (seen, found)
    first = datetime.strptime(found["first_commit"], "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC)
    assert told["heard"] < first.timestamp(), "what was lost is older than what the failover called unknown"


@pytest.mark.later
def test_of_a_primary_whose_disk_can_be_read_it_says_all(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    before = forks(lab, old)
    with lost(cluster):
        lab.sh(old, f"systemctl stop {UNIT}")
        outcome = lab.play("failover", *sure(old)).check()
    told = re.search(rf"Missing on {new}: (\d+) bytes of WAL", outcome.said)
    assert told, outcome
    lab.mend_link()
    lab.sh(old, f"systemctl start {UNIT}")
    found = rejoined(cluster, before)
    assert 0 <= found["bytes"] - int(told[1]) <= LAST_RECORDS, (told[0], found)
