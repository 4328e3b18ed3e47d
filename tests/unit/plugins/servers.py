# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers as server_info surveys them before (and after) they become nodes, to be changed by one test each."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from ansible_collections.duet.backup_ha.plugins.module_utils._preflight import Server, Wanted
from ansible_collections.duet.backup_ha.plugins.module_utils._settings import restarts_for
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import ADDRESSES, ENDPOINT, SYSTEM

ENDPOINT_NAME = "backup.lab.test"
GIB = 2**30
WANTED = Wanted(endpoint_address=ENDPOINT, endpoint_name=ENDPOINT_NAME)

SETTINGS = {
    "archive_mode": "off",
    "listen_addresses": "localhost",
    "max_connections": "100",
    "max_locks_per_transaction": "64",
    "max_prepared_transactions": "0",
    "max_wal_senders": "10",
    "max_worker_processes": "8",
    "wal_level": "replica",
    "wal_log_hints": "off",
}

MACS = {name: address.replace("198.18.0.", "02:d0:c6:12:00:") for name, address in ADDRESSES.items()}


def postgresql(role: str = "primary", data: bool = True, system: str | None = SYSTEM) -> dict[str, Any]:
    """One PostgreSQL server; ``stopped`` ones say less, because nobody could ask them."""
    found = {
        "version": "15",
        "cluster": "main",
        "port": 5432,
        "data_directory": "/var/lib/postgresql/15/main",
        "exists": system is not None,
        "running": role != "stopped",
        "role": role,
        "holds_data": data,
        "member": False,
        "tablespaces": [],
        "system_identifier": system,
        "problem": None,
    }
    if role == "stopped":
        return found
    names = ["bacula", "postgres", "template1"] if data else ["postgres", "template1"]
    return {
        **found,
        "size_bytes": GIB if data else 22 * 2**20,
        "databases": [{"name": name, "collate": "C.UTF-8", "ctype": "C.UTF-8"} for name in names],
        "settings": dict(SETTINGS),
        "restarts": restarts_for(SETTINGS, {}),
        "refused_settings": [],
        "overrides": [],
    }


def found(name: str, server: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "assembled": False,
        "missing_packages": [],
        "package_versions": {"bacula-director": "9.6.7-7"},
        "hostname": name,
        "architecture": "x86_64",
        "system": "Debian GNU/Linux 12 (bookworm)",
        "glibc": "2.36",
        "icu": "72.1",
        "locales": ["C", "C.utf8", "POSIX", "en_US.utf8"],
        "python": "3.11.2",
        "interfaces": [
            {
                "name": "eth0",
                "mac": MACS[name],
                "addresses": [f"{ADDRESSES[name]}/24", "fe80::d0:c6ff:fe12:5e0b/64"],
            },
        ],
        "resolves": {ENDPOINT_NAME: [ENDPOINT]},
        "reverse": {ENDPOINT: ["backup", ENDPOINT_NAME]},
        "endpoint": {"interface": "eth0", "prefix": 24, "held": False, "answered_by": None},
        "postgresql": {
            "installed": ["15"],
            "available": None,
            "clusters": ["15"] if server else [],
            "half_made": [],
            "server": deepcopy(server),
            "free_bytes": 75 * GIB,
            "total_bytes": 252 * GIB,
        },
        "secret_files": {},
    }


def server(name: str, database: dict[str, Any] | None = None) -> Server:
    """A server with this PostgreSQL; without one it is blank, its packages installed."""
    return Server(name, ADDRESSES[name], found(name, database), clock_offset_s=0.01, clock_error_s=0.02)


def full(name: str = "node1") -> Server:
    """A server that runs a backup server's database."""
    return server(name, postgresql())


def blank(name: str = "node2") -> Server:
    return server(name)


def standby(name: str = "node2", system: str = SYSTEM) -> Server:
    return server(name, postgresql("secondary", system=system))


def member(name: str, role: str = "primary", system: str = SYSTEM) -> Server:
    """A node of a cluster, with the cluster's data."""
    return finding(own(server(name, postgresql(role, system=system)), member=True), assembled=True)


def finding(host: Server, **changes: Any) -> Server:
    """The same server with some of its findings replaced."""
    return replace(host, found={**host.found, **changes})


def database(host: Server, **changes: Any) -> Server:
    return finding(host, postgresql={**host.found["postgresql"], **changes})


def own(host: Server, **changes: Any) -> Server:
    """The same server with other properties of its running PostgreSQL."""
    return database(host, server={**host.found["postgresql"]["server"], **changes})
