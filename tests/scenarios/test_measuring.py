# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The measuring finds what it is there to find: real PostgreSQL, made losses, a real second writer.

No cluster is involved: each node gets a PostgreSQL of its own on another port, and loses it again afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from measure.access import Access, admit, create, written
from measure.loss import lost_commits
from measure.servers import Servers
from measure.watch import Watched, watch
from measure.writers import Needs, judge
from tests.scenarios.support import Lab

PORT = 5499
CLUSTER = "measuring"


class Pair:
    """Two independent servers with the same role, password and tables."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.names = tuple(servers.nodes)
        self.one, self.two = servers.nodes.values()
        for address in (self.one, self.two):
            self._install(address)
        self.access = create(servers, self.one, PORT)
        create(servers, self.two, PORT)
        servers.sql(self.two, f"ALTER ROLE duet_writer PASSWORD '{self.access.password}'", port=PORT)

    def _install(self, address: str) -> None:
        self.remove(address)
        options = ["-o", "listen_addresses=*", "-o", "fsync=off", "-o", "restart_after_crash=off"]
        self.servers.run(address, ["pg_createcluster", "15", CLUSTER, "-p", str(PORT), *options, "--start"])
        admit(self.servers, address, PORT)

    def remove(self, address: str) -> None:
        drop = f"pg_lsclusters -h 15 {CLUSTER} | grep -q . && pg_dropcluster --stop 15 {CLUSTER} || true"
        self.servers.run(address, ["sh", "-c", drop])

    def control(self, address: str, *action: str) -> None:
        self.servers.run(address, ["pg_ctlcluster", "15", CLUSTER, *action])

    def make_standby(self, address: str) -> None:
        """Restart read-only, waiting for a promotion that takes a new timeline."""
        self.servers.run(address, ["touch", f"/var/lib/postgresql/15/{CLUSTER}/standby.signal"])
        self.control(address, "restart", "-m", "fast")


@pytest.fixture(scope="module")
def pair(lab: Lab) -> Iterator[Pair]:
    made = Pair(Servers.of(lab.inventory))
    yield made
    for address in (made.one, made.two):
        made.remove(address)


def watched(pair: Pair, access: Access, probed: bool = True) -> Watched:
    return Watched(access, pair.one, pair.servers.nodes if probed else {})


def test_a_made_loss_is_found_to_the_row(pair: Pair, tmp_path: Path) -> None:
    _, seen = watch(lambda: time.sleep(1), watched(pair, pair.access, probed=False), tmp_path)
    client = seen.clients["quick"]
    before = lost_commits(client.attempts, written(pair.access, pair.one, client.run))
    assert before.count == 0
    assert before.acknowledged > 200

    doomed = [3, before.acknowledged // 2, before.acknowledged]
    delete = f"DELETE FROM duet_written WHERE run = '{client.run}' AND number = ANY ('{set(doomed)}')"
    pair.servers.sql(pair.one, delete, "duet_measure", PORT)
    after = lost_commits(client.attempts, written(pair.access, pair.one, client.run))
    assert after.lost == tuple(doomed)
    assert after.acknowledged == before.acknowledged


def test_a_stopped_server_is_a_gap_of_that_length(pair: Pair, tmp_path: Path) -> None:
    def outage() -> float:
        pair.control(pair.one, "stop", "-m", "fast")
        stopped = time.monotonic()
        time.sleep(0.7)
        pair.control(pair.one, "start")
        return time.monotonic() - stopped

    away, seen = watch(outage, watched(pair, pair.access, probed=False), tmp_path)
    gap = seen.clients["quick"].gap
    assert gap.gap_ms is not None, gap.why
    assert 700 <= gap.gap_ms <= away * 1000 + 1000
    assert gap.usual_ms is not None
    assert gap.usual_ms < gap.gap_ms


def test_two_servers_that_both_accept_are_two_writers(pair: Pair, tmp_path: Path) -> None:
    _, seen = watch(lambda: time.sleep(1), watched(pair, pair.access), tmp_path)
    verdict = judge(seen.probes, pair.names, seen.begin, seen.end, Needs())
    assert verdict.two_writers is True
    assert "timeline 1 in the same period" in verdict.why[0]


def test_a_handover_has_one_writer_and_a_revenant_makes_two(pair: Pair, tmp_path: Path) -> None:
    pair.make_standby(pair.two)

    def handover() -> None:
        pair.control(pair.one, "stop", "-m", "fast")
        pair.control(pair.two, "promote")
        time.sleep(1)  # enough probes of the new writer

    def handover_and_return() -> None:
        handover()
        pair.control(pair.one, "start")
        time.sleep(0.5)

    # The writer stays with the first server: what matters here is what the probes see.
    needs = Needs(accepted_on=frozenset(pair.names))
    _, seen = watch(handover, watched(pair, pair.access), tmp_path)
    verdict = judge(seen.probes, pair.names, seen.begin, seen.end, needs)
    assert (verdict.two_writers, verdict.why) == (False, ())

    pair.control(pair.one, "start")
    pair.make_standby(pair.two)
    _, seen = watch(handover_and_return, watched(pair, pair.access), tmp_path)
    verdict = judge(seen.probes, pair.names, seen.begin, seen.end, needs)
    assert verdict.two_writers is True
    assert any("on timeline 1 that started" in reason for reason in verdict.why)


def test_a_wrong_password_is_not_taken_for_a_refusal(pair: Pair, tmp_path: Path) -> None:
    pair.control(pair.one, "restart", "-m", "fast")

    def change_password() -> None:
        pair.servers.sql(pair.two, "ALTER ROLE duet_writer PASSWORD 'another'", port=PORT)
        pair.control(pair.two, "restart", "-m", "fast")
        time.sleep(1.5)

    _, seen = watch(change_password, watched(pair, pair.access), tmp_path)
    only_two = [p for p in seen.probes if p.node == pair.names[1]]
    verdict = judge(only_two, pair.names, seen.begin, seen.end, Needs())
    assert verdict.two_writers is None
    assert verdict.counts[pair.names[1]].broken > 50
