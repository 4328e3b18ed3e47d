# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's description on disk: what is read from it, and what is said about a broken one."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._config import (
    Workload,
    load_config,
    parse_config,
    require_config,
    slot_name,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError

# As roles/node writes it.
DOCUMENT: dict[str, Any] = {
    "address": "198.18.0.11",
    "cluster": "duet",
    "endpoint": {"address": "198.18.0.10", "interface": "eth0", "name": "backup.lab.test", "prefix": 24},
    "node": "node1",
    "peer": {"address": "198.18.0.12", "node": "node2"},
    "postgresql": {"cluster": "main", "data_directory": "/var/lib/postgresql/15/main", "port": 5432, "version": "15"},
    "workload": {
        "exclude": ["/etc/bacula/bacula-fd.conf"],
        "files": ["/etc/bacula"],
        "name": "bacula",
        "probe": ["true"],
        "units": ["bacula-director.service"],
        "version_command": ["bacula-dir", "-?"],
    },
}


def without(*path: str) -> dict[str, Any]:
    document = deepcopy(DOCUMENT)
    place = document
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return document


def test_everything_is_read() -> None:
    config = parse_config(DOCUMENT)
    assert (config.cluster, config.node, config.address) == ("duet", "node1", "198.18.0.11")
    assert (config.peer, config.peer_address) == ("node2", "198.18.0.12")
    assert (config.slot, config.peer_slot) == ("backup_ha_node1", "backup_ha_node2")
    assert config.endpoint.prefix == 24
    assert config.workload.units == ("bacula-director.service",)
    assert config.workload.exclude == ("/etc/bacula/bacula-fd.conf",)


def test_debian_s_names_of_a_postgresql() -> None:
    server = parse_config(DOCUMENT).postgresql
    assert server.unit == "postgresql@15-main.service"
    assert server.bin_directory == "/usr/lib/postgresql/15/bin"
    assert server.config_directory == "/etc/postgresql/15/main"


@pytest.mark.parametrize("document", [without("workload"), {**DOCUMENT, "workload": {}}])
def test_a_cluster_may_have_no_workload(document: dict[str, Any]) -> None:
    assert parse_config(document).workload == Workload("none")


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (("cluster",), "cluster"),
        (("peer",), "peer.node"),
        (("peer", "address"), "peer.address"),
        (("postgresql", "port"), "port"),
        (("endpoint", "interface"), "interface"),
    ],
)
def test_what_is_missing_is_named(path: tuple[str, ...], named: str) -> None:
    with pytest.raises(BackupHaError, match=f"node.json is not a node description: .*'{named}'"):
        parse_config(without(*path))


@pytest.mark.parametrize(
    "document", [[], "text", None, {**DOCUMENT, "workload": None}, {**DOCUMENT, "endpoint": {"street": "1"}}]
)
def test_another_document_is_refused(document: Any) -> None:
    with pytest.raises(BackupHaError, match="not a node description"):
        parse_config(document)


def test_a_server_without_the_file_is_no_node(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    assert load_config(path) is None
    with pytest.raises(BackupHaError, match=r"no node of a cluster: .*Run duet.backup_ha.assemble"):
        require_config(path)


def test_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    path.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    assert load_config(path) == require_config(path) == parse_config(DOCUMENT)


def test_broken_json_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    path.write_text('{"cluster": ', encoding="utf-8")
    with pytest.raises(BackupHaError, match=r"node\.json is not JSON: .*line 1"):
        load_config(path)


@pytest.mark.parametrize(
    ("node", "slot"),
    [
        ("node1", "backup_ha_node1"),
        ("NODE1", "backup_ha_node1"),
        ("a-b.c", "backup_ha_a_b_c"),
        ("münchen", "backup_ha_m_nchen"),
        ("192.0.2.1", "backup_ha_192_0_2_1"),
    ],
)
def test_slot_names_are_allowed_by_postgresql(node: str, slot: str) -> None:
    assert slot_name(node) == slot


def test_slot_names_are_not_longer_than_postgresql_s_identifiers() -> None:
    """PostgreSQL cuts longer ones when it makes the slot, and refuses them in primary_slot_name."""
    assert len(slot_name(f"backup-server-1.{'very-' * 12}long.example.org")) <= 63
