# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observations as real nodes give them (node_info on Debian 12, PostgreSQL 15), to be changed by one test each."""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]
Nodes = dict[str, Node | None]

SYSTEM = "7711032857674076380"
OTHER_SYSTEM = "7711032900000000000"
ADDRESSES = {"node1": "198.18.0.11", "node2": "198.18.0.12"}
ENDPOINT = "198.18.0.10"
TARGET = "backup-ha-primary.target"
ENDPOINT_UNIT = "backup-ha-endpoint.service"
POSTGRESQL_UNIT = "postgresql@15-main.service"
WORKLOAD_UNIT = "bacula-director.service"
LSN = "0/30134E0"
VERSION = "15.20 (Debian 15.20-0+deb12u1)"


def control(state: str, timeline: int = 1) -> dict[str, Any]:
    return {
        "state": state,
        "checkpoint_lsn": "0/2000060",
        "timeline": timeline,
        "system_identifier": SYSTEM,
        "checksums": False,
        "wal_log_hints": True,
        "recovery_lsn": "0/0",
        "recovery_timeline": 0,
        "segment_bytes": 16777216,
    }


def unit(active: str) -> dict[str, str]:
    sub = {"active": "running", "inactive": "dead"}.get(active, active)
    return {"active": active, "sub": sub, "enabled": "static"}


def sender(user: str = "backup_ha", application: str = "node2", lag: int | None = 0) -> dict[str, Any]:
    """A row of pg_stat_replication; pg_receivewal and pg_basebackup replay nothing and have no lag."""
    return {
        "pid": 417,
        "user": user,
        "application_name": application,
        "client_address": ADDRESSES.get(application),
        "state": "streaming",
        "sync_state": "async",
        "sent_lsn": LSN,
        "write_lsn": LSN,
        "flush_lsn": LSN if lag is not None else None,
        "replay_lsn": LSN if lag is not None else None,
        "lag_bytes": lag,
        "lag_s": 0.0,
    }


def receiver(name: str, primary: str, status: str = "streaming") -> dict[str, Any]:
    return {
        "status": status,
        "sender_host": ADDRESSES.get(primary, "198.18.0.99"),
        "slot": f"backup_ha_{name}",
        "timeline": 1,
        "flushed_lsn": LSN,
        "latest_end_lsn": LSN,
        "silent_s": 0.2,
    }


def slot(name: str, active: bool = True, wal_status: str = "reserved") -> dict[str, Any]:
    return {
        "name": f"backup_ha_{name}",
        "type": "physical",
        "active": active,
        "restart_lsn": LSN,
        "wal_status": wal_status,
        "kept_bytes": 0,
    }


def past(*ends: int) -> list[dict[str, Any]]:
    """The timelines that a server came along: it left them at these positions."""
    begins = (0, *ends)
    return [
        {"timeline": n + 1, "begin": begin, "end": end}
        for n, (begin, end) in enumerate(zip(begins, (*ends, None), strict=True))
    ]


def _node(name: str, role: str, postgresql: dict[str, Any], serves: bool) -> Node:
    state = unit("active" if serves else "inactive")
    return {
        "node": name,
        "assembled": True,
        "cluster": "duet",
        "time": 1795364819.6,
        "role": role,
        "postgresql": {
            "data_directory": "/var/lib/postgresql/15/main",
            "unit": POSTGRESQL_UNIT,
            "problem": None,
            "past": past(),
            **postgresql,
        },
        "services": {
            TARGET: dict(state),
            ENDPOINT_UNIT: dict(state),
            POSTGRESQL_UNIT: unit("active" if postgresql["running"] else "inactive"),
            WORKLOAD_UNIT: dict(state),
        },
        "endpoint": {"address": ENDPOINT, "held": serves},
        "jobs": 0 if serves else None,
        "jobs_unknown": False,
        "agent": "active",
        "protection": None,
        "events": [],
        "operation": None,
        "unusable": False,
        "rejoin": {"wanted": True, "works": False, "attempts": None},
        "versions": {"workload": "9.6.7", "postgresql": VERSION if postgresql["running"] else None},
    }


def _running(recovering: bool) -> dict[str, Any]:
    return {
        "running": True,
        "accepting": True,
        "control": control("in archive recovery" if recovering else "in production"),
        "in_recovery": recovering,
        "lsn": LSN,
        "replay_lsn": LSN,
        "timeline": 1,
        "system_identifier": SYSTEM,
        "version": VERSION,
        "version_num": 150020,
        "replay_age_s": 30.4 if recovering else None,
        "wal_bytes": 50331648,
        "lag_bytes": 0,
        "senders": [],
        "receiver": None,
        "slots": [],
        "archive": {"mode": "off", "failed_count": 0, "last_failed_wal": None, "failing": False, "waiting": 0},
        "settings": {"max_connections": "100", "max_slot_wal_keep_size": "64504"},
    }


def primary(name: str = "node1", secondary_name: str = "node2") -> Node:
    """A writer that serves, and to which the secondary is connected."""
    streams = {"senders": [sender(application=secondary_name)], "slots": [slot(secondary_name)]}
    return _node(name, "primary", {**_running(recovering=False), **streams}, serves=True)


def secondary(name: str = "node2", primary_name: str = "node1") -> Node:
    """A standby that streams and has replayed everything."""
    streams = {"receiver": receiver(name, primary_name)}
    return _node(name, "secondary", {**_running(recovering=True), **streams}, serves=False)


def stopped(name: str, state: str = "shut down in recovery") -> Node:
    """PostgreSQL does not run; ``state`` is what its control file says: ``shut down`` for a former primary."""
    return _node(name, "stopped", {"running": False, "accepting": False, "control": control(state)}, serves=False)


def unassembled(name: str) -> Node:
    """A server that is no node yet and has no PostgreSQL."""
    return {
        **_node(name, "none", {"running": False}, serves=False),
        "assembled": False,
        "cluster": None,
        "postgresql": {"running": False},
        "services": {},
        "endpoint": None,
        "versions": {"workload": None, "postgresql": None},
    }


def pair() -> dict[str, Node]:
    """A healthy cluster: node1 is primary, node2 follows."""
    return {"node1": primary(), "node2": secondary()}


def event(kind: str = "role_changed", at: float = 1795364800.0, identity: str = "4c6f", severity: str = "info") -> Node:
    """An event as a node shows it."""
    return {
        "id": identity,
        "at": at,
        "kind": kind,
        "severity": severity,
        "cluster": "duet",
        "node": "node1",
        "message": "node1 is the primary now, on timeline 2.",
        "details": {},
    }


def operation(age_s: float = 2.0, kind: str = "switchover") -> dict[str, Any]:
    """The record of an operation as a node shows it."""
    return {
        "id": "duet-1795364800.000000",
        "kind": kind,
        "by": "root@control",
        "controller": "control:b1946ac9-2492-4d23-9f3f-000000000000:4242",
        "started": 1795364800.0,
        "renewed": 1795364817.6,
        "boot": "b1946ac9-2492-4d23-9f3f-111111111111",
        "age_s": age_s,
    }


def promoted(node: Node, at: int) -> Node:
    """The same writer, on the timeline that began with its promotion."""
    node["postgresql"].update(timeline=2, past=past(at))
    return node


def both(one: Node | None, other: Node | None) -> Nodes:
    return {"node1": one, "node2": other}


def changed(node: Node, *path: str, to: object) -> Node:
    """The same node with one leaf set."""
    place = node
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return node


def shut_out(node: Node) -> Node:
    """A server whose connections are all used."""
    node["postgresql"].update(accepting=False, problem="FATAL:  sorry, too many clients already")
    return node
