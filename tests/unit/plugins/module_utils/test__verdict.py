# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One verdict per cluster: a world, what it is called, why, and what comes next."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._lsn import parse_lsn
from ansible_collections.duet.backup_ha.plugins.module_utils._standby_health import LAG_LIMIT_BYTES
from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import (
    DEGRADED,
    FAILED,
    SPLIT,
    UNASSEMBLED,
    UNKNOWN,
    judge,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Node, Nodes, both, changed, shut_out

LEFT_BEHIND = {"timeline": 2, "since": "0/3000000"}
ASSEMBLE = "duet.backup_ha.assemble"


def without_streaming(status: str | None = None) -> Node:
    receiver = status and worlds.receiver("node2", "node1", status)
    return changed(worlds.secondary(), "postgresql", "receiver", to=receiver)


def of_another_system(node: Node) -> Node:
    changed(node, "postgresql", "control", "system_identifier", to=worlds.OTHER_SYSTEM)
    return changed(node, "postgresql", "system_identifier", to=worlds.OTHER_SYSTEM)


def apart(fork: int, role: str = "secondary") -> Nodes:
    """node1 was promoted at a position; node2 is on the timeline before, and does not stream."""
    node = without_streaming() if role == "secondary" else worlds.stopped("node2", "in archive recovery")
    return both(worlds.promoted(worlds.primary(), fork), node)


def crashed(recovered: str) -> Nodes:
    nodes = apart(parse_lsn(worlds.LSN) - 1024, "stopped")
    changed(nodes["node2"] or {}, "postgresql", "control", "recovery_lsn", to=recovered)
    return nodes


# (nodes, verdict, words of the reasons, words of what comes next)
TABLE = [
    pytest.param(
        both(None, None), UNKNOWN, ["node1 does not answer", "node2 does not answer"], "network", id="nobody answers"
    ),
    pytest.param(
        both(worlds.unassembled("node1"), worlds.unassembled("node2")),
        UNASSEMBLED,
        ["node1 is no node", "node2 is no node"],
        ASSEMBLE,
        id="two blank servers",
    ),
    pytest.param(
        both(worlds.primary(), worlds.unassembled("node2")),
        UNASSEMBLED,
        ["node2 is no node"],
        ASSEMBLE,
        id="half assembled",
    ),
    pytest.param(
        both(None, worlds.unassembled("node2")),
        UNASSEMBLED,
        ["node2 is no node", "node1 does not answer"],
        ASSEMBLE,
        id="a blank server and a silent one",
    ),
    pytest.param(
        both(worlds.primary(), of_another_system(worlds.primary("node2", "node1"))),
        UNASSEMBLED,
        ["node1 and node2 are not paired"],
        ASSEMBLE,
        id="two writers that were never one",
    ),
    pytest.param(
        both(worlds.primary(), worlds.primary("node2", "node1")),
        SPLIT,
        ["node1 and node2 both accept writes"],
        f"systemctl stop {worlds.TARGET}",
        id="two writers",
    ),
    pytest.param(
        both(worlds.primary(), None),
        DEGRADED,
        ["node2 does not answer over SSH, but still streams"],
        "Bring node2 back",
        id="the secondary is silent and streams",
    ),
    pytest.param(
        both(changed(worlds.primary(), "postgresql", "senders", to=[]), None),
        DEGRADED,
        ["node2 does not answer over SSH."],
        "Bring node2 back",
        id="the secondary is gone",
    ),
    pytest.param(
        both(worlds.primary(), worlds.stopped("node2")),
        DEGRADED,
        ["PostgreSQL is stopped on the secondary node2"],
        f"On node2: systemctl start {worlds.POSTGRESQL_UNIT}",
        id="the secondary is stopped",
    ),
    pytest.param(
        both(worlds.primary(), without_streaming()),
        DEGRADED,
        ["node2 does not stream from node1"],
        "Wait a moment",
        id="the secondary does not stream",
    ),
    pytest.param(
        both(worlds.primary(), without_streaming("waiting")),
        DEGRADED,
        ["node2 does not stream from node1"],
        "Wait a moment",
        id="the receiver waits",
    ),
    pytest.param(
        apart(parse_lsn(worlds.LSN) - 1024),
        DEGRADED,
        ["node2 has 1.0 KiB of WAL that node1 never got, from 0/30130E0 to 0/30134E0"],
        "duet.backup_ha.rejoin (or on node2: backup-ha rejoin)",
        id="the secondary has a fork",
    ),
    pytest.param(
        apart(parse_lsn(worlds.LSN)),
        DEGRADED,
        ["node2 does not stream from node1"],
        "Wait a moment",
        id="the secondary has nothing of its own and does not stream yet",
    ),
    pytest.param(
        crashed(worlds.LSN),
        DEGRADED,
        ["PostgreSQL is stopped on the secondary node2", "node2 has 1.0 KiB of WAL"],
        "duet.backup_ha.rejoin",
        id="the secondary has a fork and does not start",
    ),
    pytest.param(
        both(worlds.primary(), changed(worlds.stopped("node2"), "unusable", to=True)),
        DEGRADED,
        ["PostgreSQL is stopped on the secondary node2", "A rewind of node2 was interrupted"],
        "duet.backup_ha.rejoin",
        id="a rewind was interrupted",
    ),
    pytest.param(
        both(
            worlds.primary(),
            changed(
                changed(worlds.stopped("node2"), "postgresql", "settings", to={"max_connections": "50"}),
                *("postgresql", "control", "standby_minimums"),
                to={"max_connections": 100},
            ),
        ),
        DEGRADED,
        [
            "PostgreSQL is stopped on the secondary node2",
            "On node2 max_connections is 50 and the primary has, or had, 100",
        ],
        "Raise the parameters on node2",
        id="a parameter too small",
    ),
    pytest.param(
        both(worlds.primary(), changed(worlds.secondary(), "postgresql", "lag_bytes", to=LAG_LIMIT_BYTES + 1)),
        DEGRADED,
        ["node2 is 16.0 MiB behind node1"],
        "Wait a moment",
        id="late",
    ),
    pytest.param(
        both(worlds.primary(), of_another_system(worlds.secondary())),
        DEGRADED,
        ["node2 is not a copy of node1"],
        "",
        id="a standby of another primary",
    ),
    pytest.param(
        both(changed(worlds.primary(), "postgresql", "slots", to=[worlds.slot("other")]), worlds.secondary()),
        DEGRADED,
        ["node1 has no replication slot for node2"],
        "",
        id="no slot",
    ),
    pytest.param(
        both(
            changed(worlds.primary(), "postgresql", "slots", to=[worlds.slot("node2", False, "lost")]),
            without_streaming(),
        ),
        DEGRADED,
        ["no longer has the WAL that node2 needs", "a fresh copy"],
        "duet.backup_ha.rejoin",
        id="slot lost",
    ),
    pytest.param(
        both(worlds.primary(), changed(worlds.secondary(), "endpoint", "held", to=True)),
        DEGRADED,
        [f"node2 has the endpoint {worlds.ENDPOINT} as well"],
        "",
        id="both have the endpoint",
    ),
    pytest.param(
        both(worlds.primary(), changed(worlds.secondary(), "versions", "workload", to="11.0.6")),
        DEGRADED,
        ["different versions of workload: node1 9.6.7, node2 11.0.6"],
        "",
        id="different workloads",
    ),
    pytest.param(
        both(shut_out(worlds.primary()), worlds.secondary()),
        FAILED,
        ["PostgreSQL on node1 lets nobody in", "too many clients"],
        "node1",
        id="the writer lets nobody in",
    ),
    pytest.param(
        both(worlds.secondary("node1", "node3"), worlds.stopped("node2", "in production")),
        FAILED,
        ["node1 follows, node2 is stopped"],
        f"Start PostgreSQL on node2 (systemctl start {worlds.POSTGRESQL_UNIT})",
        id="the primary crashed",
    ),
    pytest.param(
        both(worlds.stopped("node1"), worlds.stopped("node2")),
        FAILED,
        ["node1 is stopped, node2 is stopped"],
        "Start PostgreSQL on node1 and node2",
        id="both are stopped",
    ),
    pytest.param(
        both(worlds.secondary("node1", "node2"), worlds.secondary("node2", "node1")),
        FAILED,
        ["node1 follows, node2 follows"],
        "journalctl -u backup-ha-resume",
        id="two standbys",
    ),
    pytest.param(
        both(None, without_streaming()),
        FAILED,
        ["node2 follows", "node1 does not answer"],
        "ansible-playbook duet.backup_ha.failover (without a control node, on node2: backup-ha failover)",
        id="the primary is gone",
    ),
    pytest.param(
        both(None, worlds.changed(without_streaming(), "postgresql", "outvoted", to=LEFT_BEHIND)),
        FAILED,
        ["node2 was left behind: timeline 2 of node1 began at 0/3000000", "node1 does not answer"],
        "Bring node1 back: it resumes by itself. If node1 is lost for good",
        id="the primary is gone, and the secondary has a fork",
    ),
    pytest.param(
        both(None, worlds.changed(without_streaming(), "waits", to="the other node does not answer")),
        FAILED,
        ["node2 waits: the other node does not answer", "node1 does not answer"],
        "run on node2: backup-ha resume --alone",
        id="a former primary waits for the node that may have taken over",
    ),
    pytest.param(
        both(worlds.stopped("node1", "shut down"), without_streaming()),
        FAILED,
        ["node1 is stopped, node2 follows"],
        "If it can't be started: ansible-playbook duet.backup_ha.failover",
        id="PostgreSQL is stopped on the primary",
    ),
    pytest.param(
        both(None, worlds.stopped("node2")),
        FAILED,
        ["node2 is stopped", "node1 does not answer"],
        "Bring node1 back",
        id="one is gone and the other is stopped",
    ),
    pytest.param(
        both(None, worlds.secondary()),
        DEGRADED,
        ["node1 does not answer", "still streams from node1"],
        "SSH on node1",
        id="only the control node misses the primary",
    ),
]


@pytest.mark.parametrize(("nodes", "verdict", "reasons", "following"), TABLE)
def test_table(nodes: Nodes, verdict: str, reasons: list[str], following: str) -> None:
    found = judge("duet", nodes)
    said = " ".join(found.reasons)
    assert found.verdict == verdict, said
    assert [words for words in reasons if words not in said] == [], said
    assert found.next and following in found.next
