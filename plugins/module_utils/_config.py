# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's description of itself and of its cluster: /etc/backup-ha/node.json, written by the node role."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._errors import BackupHaError

CONFIG_PATH = Path("/etc/backup-ha/node.json")
TLS_DIRECTORY = Path("/etc/backup-ha/tls")
STATE_DIRECTORY = Path("/var/lib/backup-ha")
DATABASE = "backup_ha"
REPLICATION_ROLE = "backup_ha"
PRIMARY_TARGET = "backup-ha-primary.target"
ENDPOINT_UNIT = "backup-ha-endpoint.service"
RESUME_UNIT = "backup-ha-resume.service"
ABSTAIN_UNIT = "backup-ha-abstain.service"
AGENT_UNIT = "backup-ha-agent.service"
EVENTS_PATH_UNIT = "backup-ha-events.path"
REJOIN_UNIT = "backup-ha-rejoin.service"


@dataclass(frozen=True)
class Postgresql:
    """Debian's naming: ``version``/``cluster`` is one server with its own data directory."""

    version: str
    cluster: str
    port: int
    data_directory: str

    @property
    def unit(self) -> str:
        return f"postgresql@{self.version}-{self.cluster}.service"

    @property
    def bin_directory(self) -> str:
        return f"/usr/lib/postgresql/{self.version}/bin"

    @property
    def config_directory(self) -> str:
        return f"/etc/postgresql/{self.version}/{self.cluster}"


@dataclass(frozen=True)
class Endpoint:
    """The address that follows the primary."""

    address: str
    prefix: int
    interface: str
    name: str


@dataclass(frozen=True)
class Workload:
    """The backup server: what runs only on the primary, and what is replicated besides its databases."""

    name: str
    units: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    jobs_command: tuple[str, ...] = ()
    version_command: tuple[str, ...] = ()


@dataclass(frozen=True)
class AgentConfig:
    """What the agent is to do. ``synchronous`` is off, preferred or required; times in seconds, 0 for never."""

    synchronous: str = "off"
    sync_grace: float = 10.0
    isolation_timeout: float = 15.0
    isolation_addresses: tuple[str, ...] = ()
    auto_rejoin: bool = True


@dataclass(frozen=True)
class EventsConfig:
    """Whom a node tells of events: a command that gets each, for at most so many seconds, and a folder for metrics."""

    hook: tuple[str, ...] = ()
    hook_timeout: float = 30.0
    metrics_directory: str = "/var/lib/prometheus/node-exporter"


@dataclass(frozen=True)
class NodeConfig:
    """One node as it sees itself."""

    cluster: str
    node: str
    address: str
    peer: str
    peer_address: str
    postgresql: Postgresql
    endpoint: Endpoint
    workload: Workload = field(default_factory=lambda: Workload("none"))
    max_loss_bytes: int | None = None  # what a failover may lose; None: see _failover.py
    agent: AgentConfig = field(default_factory=AgentConfig)
    events: EventsConfig = field(default_factory=EventsConfig)

    @property
    def slot(self) -> str:
        """The slot on the other node that keeps WAL for this one."""
        return slot_name(self.node)

    @property
    def peer_slot(self) -> str:
        return slot_name(self.peer)


def slot_name(node: str) -> str:
    """PostgreSQL allows lower-case letters, digits and underscores in slot names, and 63 of them.

    >>> slot_name("Backup-1.example.org")
    'backup_ha_backup_1_example_org'
    """
    return ("backup_ha_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in node.lower()))[:63]


def parse_config(data: dict[str, Any]) -> NodeConfig:
    """Build the configuration from its JSON document; a missing key is named by its path."""
    try:
        workload, agent = _tuples(data.get("workload", {})), _tuples(data.get("agent", {}))
        return NodeConfig(
            cluster=data["cluster"],
            node=data["node"],
            address=data["address"],
            peer=_at(data, "peer.node"),
            peer_address=_at(data, "peer.address"),
            postgresql=Postgresql(**data["postgresql"]),
            endpoint=Endpoint(**data["endpoint"]),
            workload=Workload(**workload) if workload else Workload("none"),
            max_loss_bytes=data.get("max_loss_bytes"),
            agent=AgentConfig(**agent),
            events=EventsConfig(**_tuples(data.get("events", {}))),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise BackupHaError(f"{CONFIG_PATH} is not a node description: {error}.") from error


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}


def _at(data: dict[str, Any], path: str) -> Any:
    found: Any = data
    for key in path.split("."):
        if key not in found:
            raise KeyError(path)
        found = found[key]
    return found


def load_config(path: Path = CONFIG_PATH) -> NodeConfig | None:
    """Read this node's configuration; None on a server that is no node of a cluster."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BackupHaError(f"{path} is not JSON: {error}.") from error
    return parse_config(data)


def require_config(path: Path = CONFIG_PATH) -> NodeConfig:
    """Read this node's configuration; an error that says what to do on a server that is no node."""
    config = load_config(path)
    if config is None:
        raise BackupHaError(f"This server is no node of a cluster: {path} does not exist. Run duet.backup_ha.assemble.")
    return config
