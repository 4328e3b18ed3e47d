# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the agent starts a process for the files, and what it takes for a change."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _file_watch
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Workload
from ansible_collections.duet.backup_ha.plugins.module_utils._file_tree import fingerprint
from ansible_collections.duet.backup_ha.plugins.module_utils._file_watch import (
    AGAIN_S,
    FAILED,
    PROCESS_S,
    SETTLED,
    SOON,
    FileWatch,
    Noticed,
    ended,
    is_due,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

BEFORE, AFTER = ("primary", "node1", 0, 1), ("primary", "node1", 0, 2)


@pytest.mark.parametrize(
    ("noticed", "due"),
    [
        (Noticed(), True),
        (Noticed(AFTER, 101.0), False),
        (Noticed(AFTER, 100.0), True),
        (Noticed(BEFORE, 101.0), True),
    ],
)
def test_a_process_is_due_after_a_change_and_after_a_while(noticed: Noticed, due: bool) -> None:
    assert is_due(noticed, AFTER, 100.0) is due


@pytest.mark.parametrize("code", [SETTLED, SOON])
def test_what_went_well_is_looked_at_again(code: int) -> None:
    assert ended(Noticed(AFTER, 7.0, failures=3), code, 100.0) == Noticed(AFTER, 100.0 + AGAIN_S[code])


@pytest.mark.parametrize("code", [FAILED, -9])
def test_what_has_failed_is_tried_again_soon_and_then_seldom(code: int) -> None:
    noticed, pauses = Noticed(AFTER, 7.0), []
    for _number in range(6):
        noticed = ended(noticed, code, 100.0)
        pauses.append(noticed.again_at - 100.0)
    assert pauses == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert AGAIN_S[SOON] < AGAIN_S[FAILED] < AGAIN_S[SETTLED]


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda root: (root / "a").write_bytes(b"2"),
    "mode": lambda root: (root / "a").chmod(0o600),
    "new": lambda root: (root / "b").write_bytes(b""),
    "removed": lambda root: (root / "a").unlink(),
    "replaced by the same": lambda root: (root / "other").rename(root / "a"),
    "link": lambda root: (root / "link").symlink_to("a"),
    "below": lambda root: (root / "d" / "new").touch(),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "etc"
    (made / "d").mkdir(parents=True)
    (made / "a").write_bytes(b"1")
    (made / "other").write_bytes(b"1")
    return made


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen(root: Path, change: str) -> None:
    workload = Workload("any", files=(str(root), "/nowhere"))
    before = fingerprint(workload)
    assert fingerprint(workload) == before
    os.utime(root / "a", ns=(1, 1))
    before = fingerprint(workload)
    CHANGES[change](root)
    assert fingerprint(workload) != before


@pytest.mark.parametrize("name", ["own.conf", ".a.backup-ha", "ssl/key"])
def test_what_is_not_replicated_is_not_looked_at(root: Path, name: str) -> None:
    (root / "ssl").mkdir()
    workload = Workload("any", files=(f"{root}/d", f"{root}/ssl", f"{root}/{name}"), exclude=("*/own*", "*/ssl"))
    before = fingerprint(workload)
    (root / name).write_bytes(b"new")
    assert fingerprint(workload) == before


class Stage:
    """The agent's session, and processes that end when they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.now = 1000.0
        self.started = 0
        self.code: int | None = None
        self.killed = False
        self.source: list[dict[str, Any]] = [{"node": "node1", "revision": 5}]
        self.errors: list[Exception] = []
        self.may_apply = True
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(subprocess, "Popen", self.start)
        monkeypatch.setattr(_file_watch, "rows", self.rows)
        monkeypatch.setattr(_file_watch, "may_apply", lambda: self.may_apply)
        self.watch = FileWatch(replace(CONFIG, workload=Workload("any", files=(str(root),))))

    def start(self, command: tuple[str, ...], **_options: object) -> Stage:
        assert command == ("/usr/bin/backup-ha", "sync-files") and self.code is None
        self.started += 1
        return self

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.killed, self.code = True, -9

    def rows(self, _session: object, _query: str) -> list[dict[str, Any]]:
        for error in self.errors:
            raise error
        return self.source

    def look(self, role: str = "primary", seconds: float = 1.0) -> int:
        self.now += seconds
        self.watch.look(object(), role)  # type: ignore[arg-type]
        return self.started

    def end(self, code: int = SETTLED) -> None:
        """The process ends, and the next look notices."""
        self.code = code
        self.look()
        self.code = None


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, root: Path) -> Stage:
    return Stage(monkeypatch, root)


def test_one_process_for_each_change(stage: Stage, root: Path) -> None:
    assert (stage.look(), stage.look()) == (1, 1), "one at a time"
    stage.end()
    assert stage.look() == 1, "nothing has changed"
    stage.source = [{"node": "node1", "revision": 6}]
    assert stage.look() == 1, "what it captured itself is no news"
    (root / "a").write_bytes(b"2")
    assert stage.look() == 2


def test_on_the_secondary_the_stream_counts_as_well(stage: Stage) -> None:
    stage.look("secondary")
    stage.code = SETTLED
    stage.look("secondary")
    stage.code = None
    assert stage.look("secondary") == 1
    stage.source = [{"node": "node1", "revision": 6}]
    assert stage.look("secondary") == 2


def test_not_while_roles_change_and_not_without_a_server(stage: Stage) -> None:
    stage.may_apply = False
    assert stage.look("secondary") == 0
    assert stage.look("none") == 0
    stage.watch.look(None, "primary")
    assert stage.started == 0
    assert stage.look("primary") == 1


def test_a_file_that_fails_for_ever_does_not_hold_up_the_others(stage: Stage, root: Path) -> None:
    stage.look()
    stage.end(FAILED)
    assert stage.look() == 1
    (root / "a").write_bytes(b"2")
    assert stage.look() == 2
    stage.end(FAILED)
    assert stage.look(seconds=AGAIN_S[FAILED]) == 3


def test_a_process_that_hangs_is_ended(stage: Stage) -> None:
    stage.look()
    assert stage.look(seconds=PROCESS_S) == 1 and not stage.killed
    stage.look()
    assert stage.killed


def test_a_cluster_without_the_tables_is_asked_seldom(stage: Stage) -> None:
    stage.errors = [psycopg.errors.UndefinedTable('relation "backup_ha.file_source" does not exist')]
    assert stage.look() == 0
    stage.errors = []
    assert stage.look() == 0
    assert stage.look(seconds=AGAIN_S[FAILED]) == 1


def test_a_broken_session_is_the_agent_s_matter(stage: Stage) -> None:
    stage.errors = [psycopg.OperationalError("gone")]
    with pytest.raises(psycopg.OperationalError):
        stage.look()


def test_many_files_are_looked_at_less_often(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([0.0, 0.02] * 9)
    read: list[float] = []

    def process_time() -> float:
        read.append(next(readings))
        return read[-1]

    monkeypatch.setattr(time, "process_time", process_time)
    stage.look()
    stage.end()
    assert len(read) == 4, "once may be an accident"
    stage.look(seconds=1.9)
    assert len(read) == 4, "20 ms are two seconds' share"
    stage.look(seconds=0.2)
    assert len(read) == 6


def test_a_workload_without_files_needs_nothing(stage: Stage) -> None:
    watch = FileWatch(CONFIG)
    watch.look(object(), "primary")  # type: ignore[arg-type]
    assert stage.started == 0
