# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes with one configuration directory each, and a stream between them that can be cut at any change."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _file_store, _file_sync, _files
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig, Workload
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._file_store import Source
from ansible_collections.duet.backup_ha.plugins.module_utils._file_sync import Done
from ansible_collections.duet.backup_ha.plugins.module_utils._files import Entry
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG


@dataclass
class Tables:
    """What a node's database holds: the tables of _file_store."""

    source: Source = field(default_factory=Source)
    files: dict[str, Entry] = field(default_factory=dict)
    versions: set[tuple[str, str]] = field(default_factory=set)
    ready: bool = True


@dataclass
class Session:
    """A session to one node's database."""

    node: str
    tables: Tables
    recovering: bool

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_error: object) -> None:
        pass


class Pair:
    """node1 and node2. ``at`` puts one node's disk to the path that both have."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self.root = directory / "etc"
        self.primary = "node1"
        self.tables = {"node1": Tables(), "node2": Tables()}
        self.now = ""
        self.pruned = 0
        workload = Workload("any", files=(str(self.root),), exclude=(f"{self.root}/own*",))
        self.configs = {
            "node1": replace(CONFIG, workload=workload),
            "node2": replace(CONFIG, node="node2", peer="node1", workload=workload),
        }
        for node in self.configs:
            (directory / node / "etc").mkdir(parents=True)
        self._replace(monkeypatch)

    def _replace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("is_ready", "read_source", "stored", "claim", "capture", "load", "has_version", "prune"):
            monkeypatch.setattr(_file_store, name, getattr(self, f"_{name}"))
        monkeypatch.setattr(_file_sync, "in_recovery", lambda session: session.recovering)
        monkeypatch.setattr(_file_sync, "connect_cluster_database", lambda _server: self.session())
        self._monkeypatch = monkeypatch

    # The nodes

    @contextmanager
    def at(self, node: str) -> Iterator[NodeConfig]:
        """On one node."""
        own = self._directory / node
        os.rename(own / "etc", self.root)
        self._monkeypatch.setattr(_files, "REPLACED_DIRECTORY", own / "replaced")
        self._monkeypatch.setattr(_file_sync, "UNAPPLIED_PATH", own / "unapplied.json")
        self._monkeypatch.setattr(_file_sync, "LOCK_PATH", own / "lock")
        self.now = node
        try:
            yield self.configs[node]
        finally:
            os.rename(self.root, own / "etc")

    def session(self) -> Session:
        return Session(self.now, self.tables[self.now], self.now != self.primary)

    def write(self, node: str, name: str, content: str) -> None:
        (self._directory / node / "etc" / name).write_text(content, encoding="utf-8")

    def read(self, node: str, name: str = "a.conf") -> str:
        path = self._directory / node / "etc" / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def remove(self, node: str, name: str) -> None:
        (self._directory / node / "etc" / name).unlink()

    def aside(self, node: str) -> set[str]:
        return {p.read_text("utf-8") for p in (self._directory / node / "replaced").rglob("*") if p.is_file()}

    # What happens

    def look(self, node: str, unlike: dict[str, tuple[str, str]] | None = None) -> Done:
        """One look of the process that the agent starts."""
        with self.at(node) as config, _file_sync.files_locked():
            session: Any = self.session()
            if node == self.primary:
                return _file_sync.lead(config, session)
            return _file_sync.follow(config, session, unlike=unlike)

    def stream(self) -> None:
        """The secondary has everything."""
        secondary = "node2" if self.primary == "node1" else "node1"
        self.tables[secondary] = copy.deepcopy(self.tables[self.primary])

    def promote(self, node: str) -> None:
        """Become the primary, and do what comes before the workload starts."""
        self.primary = node
        with self.at(node) as config:
            _file_sync.adopt(config)

    # The store, in memory

    def _is_ready(self, session: Session) -> bool:
        return session.tables.ready

    def _read_source(self, session: Session) -> Source:
        return session.tables.source

    def _stored(self, session: Session) -> dict[str, str]:
        return {path: entry.digest for path, entry in session.tables.files.items()}

    def _claim(self, session: Session, node: str) -> None:
        assert not session.recovering, "a standby can't write"
        session.tables.source = Source(node, session.tables.source.revision + 1)

    def _capture(self, session: Session, node: str, entries: Iterable[Entry], remove: list[str]) -> list[str]:
        assert not session.recovering, "a standby can't write"
        if session.tables.source.node != node:
            raise BackupHaError("not its files")
        written = []
        for entry in entries:
            session.tables.files[entry.path] = entry
            session.tables.versions.add((entry.path, entry.digest))
            written.append(entry.path)
        for path in remove:
            del session.tables.files[path]
        session.tables.source = Source(node, session.tables.source.revision + 1)
        return written

    def _load(self, session: Session, path: str) -> Entry | None:
        return session.tables.files.get(path)

    def _has_version(self, session: Session, path: str, digest: str) -> bool:
        return (path, digest) in session.tables.versions

    def _prune(self, _session: Session) -> None:
        self.pruned += 1


def paths(found: list[str]) -> list[Any]:
    return [Path(path).name for path in found]


def paired(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Both have the same file, and node1 is the primary."""
    made = Pair(directory, monkeypatch)
    made.write("node1", "a.conf", "one")
    made.promote("node1")
    made.look("node1")
    made.stream()
    made.look("node2")
    assert made.read("node2") == "one"
    return made
