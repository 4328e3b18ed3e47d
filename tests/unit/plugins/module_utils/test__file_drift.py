# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where disk and stream differ, and what that means for the cluster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _file_drift, _file_sync
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._file_drift import observe_files
from ansible_collections.duet.backup_ha.plugins.module_utils._file_health import LATE_S, file_reasons
from ansible_collections.duet.backup_ha.plugins.module_utils._file_state import State
from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import DEGRADED, HEALTHY, judge
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG
from ansible_collections.duet.backup_ha.tests.unit.plugins.two_disks import Pair
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import both


class Look:
    """Two disks, and what observe_files asks of a node; captured an hour ago."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pair = Pair(tmp_path, monkeypatch)
        self.state = State()
        monkeypatch.setattr(_file_drift, "connect_cluster_database", lambda _server: self.pair.session())
        monkeypatch.setattr(_file_drift, "in_recovery", lambda session: session.recovering)
        monkeypatch.setattr(_file_drift, "rows", self.rows)
        monkeypatch.setattr(_file_drift, "read_state", lambda: self.state)
        self.pair.write("node1", "a.conf", "one")
        self.pair.promote("node1")
        self.pair.look("node1")
        self.pair.stream()
        self.pair.look("node2")

    def rows(self, session: Any, _query: str) -> list[dict[str, Any]]:
        hour_ago = time.time() - 3600
        return [{"path": p, "digest": e.digest, "captured": hour_ago} for p, e in session.tables.files.items()]

    def at(self, node: str) -> dict[str, Any]:
        with self.pair.at(node) as config:
            found = observe_files(config)
        assert found is not None
        return found

    def drift(self, node: str) -> dict[str, str]:
        return {Path(found["path"]).name: found["how"] for found in self.at(node)["drift"]}


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    return Look(tmp_path, monkeypatch)


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_what_differs(look: Look, node: str) -> None:
    assert look.at(node) == {"drift": [], "problems": {}}
    look.pair.write(node, "a.conf", "two")
    look.pair.write(node, "b.conf", "b")
    look.pair.write(node, "own.conf", "per node")
    assert look.drift(node) == {"a.conf": "changed", "b.conf": "extra"}
    look.pair.remove(node, "a.conf")
    assert look.drift(node) == {"a.conf": "missing", "b.conf": "extra"}
    assert all(found["age_s"] < LATE_S for found in look.at(node)["drift"]), "only just"


def test_a_removal_is_as_old_as_its_directory_s_last_change(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    look.pair.remove("node2", "a.conf")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100)
    (found,) = look.at("node2")["drift"]
    assert 99 < found["age_s"] < 102
    assert 0 < _file_drift._parent_changed_ns("/nowhere/at/all") < now * 1e9


def test_what_could_not_be_written_is_said_with_its_reason(look: Look) -> None:
    path = str(look.pair.root / "a.conf")
    look.state.failed = {path: "a.conf can't be written: No space left on device."}
    assert look.at("node2")["problems"] == look.state.failed
    assert look.at("node1")["problems"] == {}, "nothing is held back on a primary"
    with look.pair.at("node1"):
        _file_sync._remember_unapplied({path: ""})
    assert look.at("node1")["problems"] == look.state.failed


def test_nobody_can_tell(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_server: object) -> None:
        raise UnreachableError("The local PostgreSQL does not answer.")

    assert observe_files(CONFIG) is None, "no files"
    look.pair.tables["node1"].ready = False
    with look.pair.at("node1") as config:
        assert observe_files(config) is None
        monkeypatch.setattr(_file_drift, "connect_cluster_database", silent)
        assert observe_files(config) is None


def files(*names: str, age_s: float = LATE_S, problems: int = 0) -> dict[str, Any]:
    drift = [{"path": f"/etc/{name}", "how": "changed", "age_s": age_s} for name in names]
    return {"files": {"drift": drift, "problems": {str(n): f"File {n} is too large." for n in range(problems)}}}


@pytest.mark.parametrize(
    ("node", "reasons"),
    [
        (None, []),
        ({}, []),
        ({"files": None}, []),
        (files(), []),
        (files("a", age_s=LATE_S - 0.1), []),
        (files("a"), ["The replicated files in the stream and on node2 differ: /etc/a."]),
        (
            files(*"abcde"),
            ["The replicated files in the stream and on node2 differ: /etc/a, /etc/b, /etc/c and 2 more."],
        ),
        (files(problems=1), ["On node2: File 0 is too large."]),
        (
            files(problems=5),
            [*(f"On node2: File {n} is too large." for n in range(3)), "2 more files of node2 can't be replicated."],
        ),
    ],
)
def test_reasons(node: dict[str, Any] | None, reasons: list[str]) -> None:
    assert file_reasons({"node1": {}, "node2": node}) == reasons


def test_the_verdict() -> None:
    fresh = judge("duet", both({**worlds.primary(), **files("a", age_s=1)}, worlds.secondary()))
    assert fresh.verdict == HEALTHY
    late = judge("duet", both(worlds.primary(), {**worlds.secondary(), **files("a")}))
    assert (late.verdict, late.next) == (DEGRADED, "On node2: backup-ha diff")
