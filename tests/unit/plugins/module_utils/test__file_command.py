# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`backup-ha diff` and `backup-ha config`, from their words to their exit codes."""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _file_command, _file_store, _files
from ansible_collections.duet.backup_ha.plugins.module_utils._cli import build_parser
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig, Workload
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._file_command import run_config, run_diff
from ansible_collections.duet.backup_ha.plugins.module_utils._files import Entry, read_entry
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session

WHEN = datetime.datetime(2026, 11, 20, 10, 0, tzinfo=datetime.UTC)
CHANGED = {"path": "/etc/a", "how": "changed", "age_s": 9.0}


class Stage:
    """A primary with one replicated directory; ``versions`` of its file, oldest first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.root = directory / "etc"
        self.root.mkdir()
        self.path = self.root / "a.conf"
        self.path.write_bytes(b"three\n")
        self.config = self._configured(directory)
        mine = read_entry(str(self.path), self.config.workload)
        self.versions = [
            Entry(mine.path, "file", 0o600, mine.owner, mine.group, content) for content in (b"one\n", b"two\n")
        ] + [mine]
        self.recovering, self.ready, self.events = False, True, list[str]()
        self.errors: list[Exception] = []
        self.observed: dict[str, Any] | None = {"drift": [], "problems": {}}
        monkeypatch.setattr(_files, "REPLACED_DIRECTORY", directory / "replaced")
        monkeypatch.setattr(_file_store, "is_ready", lambda _session: self.ready)
        monkeypatch.setattr(_file_store, "find_version", self.find)
        monkeypatch.setattr(_file_store, "versions", self.list)
        replaced: dict[str, Any] = {
            "connect_cluster_database": lambda _server: Session("node1"),
            "in_recovery": lambda _session: self.recovering,
            "observe_files": lambda _config: self.observed,
            "files_locked": self.locked,
            "lead": lambda *_arguments: self.events.append("lead"),
        }
        for name, function in replaced.items():
            monkeypatch.setattr(_file_command, name, function)

    def _configured(self, directory: Path) -> NodeConfig:
        workload = Workload("any", files=(str(directory / "etc"),), exclude=("*/own*",))
        return NodeConfig(**{**CONFIG.__dict__, "workload": workload})

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.events.append("lock")
        yield

    def find(
        self, _session: object, path: str, version: int | None = None, at: str | None = None, before: int | None = None
    ) -> tuple[dict[str, Any], Entry] | None:
        for error in self.errors:
            raise error
        known = [(number, entry) for number, entry in enumerate(self.versions, 1) if entry.path == path]
        wanted = [(n, e) for n, e in known if version in (None, n) and (before is None or n < before)]
        wanted = wanted[:1] if at else wanted
        return ({"id": wanted[-1][0], "captured": WHEN}, wanted[-1][1]) if wanted else None

    def list(self, _session: object, path: str | None, limit: int) -> list[dict[str, Any]]:
        assert path in (None, str(self.path))
        rows = [
            {"id": 2, "path": str(self.path), "kind": "removed", "mode": 384, "owner": "root", "group": "root"},
            {"id": 1, "path": str(self.path), "kind": "file", "mode": 384, "owner": "root", "group": "root"},
        ]
        return [{**row, "bytes": 5, "digest": "d", "node": "node1", "captured": WHEN} for row in rows][:limit]

    def remove(self) -> None:
        entry = self.versions[-1]
        self.versions.append(Entry(entry.path, "removed", 0, "", "", b""))
        self.path.unlink()

    def config_(self, *words: str) -> int:
        return run_config(self.config, build_parser().parse_args(["config", *words]))

    def diff(self, *words: str) -> int:
        return run_diff(self.config, build_parser().parse_args(["diff", *words]))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ({"drift": [], "problems": {}}, 0, ""),
        ({"drift": [CHANGED], "problems": {}}, 1, "/etc/a differs from the stream\n"),
        ({"drift": [{**CHANGED, "how": "missing"}], "problems": {}}, 1, "/etc/a is not on node1\n"),
        ({"drift": [{**CHANGED, "how": "extra"}], "problems": {}}, 1, "/etc/a is not in the stream\n"),
        ({"drift": [], "problems": {"/etc/b": "/etc/b is too large."}}, 1, "/etc/b is too large.\n"),
    ],
)
def test_diff(stage: Stage, capsys: pytest.CaptureFixture[str], found: dict[str, Any], code: int, said: str) -> None:
    stage.observed = found
    assert stage.diff() == code and capsys.readouterr().out == said
    assert stage.diff("--json") == code and json.loads(capsys.readouterr().out) == found


def test_diff_when_nobody_can_tell(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.observed = None
    assert stage.diff() == 2 and "can't be compared" in capsys.readouterr().err
    stage.config = CONFIG
    assert stage.diff() == 0, "a workload without files"


def test_history(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.config_("history", str(stage.path))
    removed, file = capsys.readouterr().out.splitlines()
    assert removed.startswith("     2  2026-11-20 ") and removed.endswith(f"node1  {stage.path}  removed")
    assert file.endswith(f"node1  {stage.path}  0600 root:root 5 bytes")
    stage.config_("history", "--json", "--limit", "1")
    assert [version["id"] for version in json.loads(capsys.readouterr().out)] == [2]
    stage.config_("history", "--limit", "0")
    assert capsys.readouterr().out == "No version is kept.\n"


@pytest.mark.parametrize(("user", "terminal"), [(0, False), (1000, True), (1000, False)])
def test_contents_are_shown_on_root_s_terminal_only(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], user: int, terminal: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    with pytest.raises(RefusedError) as refused:
        stage.config_("show", str(stage.path))
    assert "root's terminal only" in refused.value.reasons[0] and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "content"), [((), "three\n"), (("--version", "2"), "two\n"), (("--at", "yesterday"), "one\n")]
)
def test_a_version_is_shown(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    content: str,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    stage.config_("show", str(stage.path), *words)
    assert capsys.readouterr().out == content


def test_a_version_is_written_with_its_mode_and_replaces_nothing(stage: Stage, tmp_path: Path) -> None:
    target = tmp_path / "out"
    stage.config_("show", str(stage.path), "--version", "1", "--output", str(target))
    assert target.read_bytes() == b"one\n" and target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(BackupHaError, match="can't be written: File exists"):
        stage.config_("show", str(stage.path), "--output", str(target))


def test_without_a_number_the_version_before_the_present_one_comes_back(
    stage: Stage, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stage.config_("restore", str(stage.path))
    assert stage.path.read_bytes() == b"two\n" and stage.path.stat().st_mode & 0o777 == 0o600
    assert stage.events == ["lock", "lead", "lead"], "captured before and after"
    assert [path.read_bytes() for path in (tmp_path / "replaced").rglob("*.conf")] == [b"three\n"]
    assert f"{stage.path} was restored. What was there is kept in {tmp_path}/replaced/" in capsys.readouterr().out


def test_a_removed_file_comes_back_as_it_was_last(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.remove()
    stage.config_("restore", str(stage.path))
    assert stage.path.read_bytes() == b"three\n" and "is kept" not in capsys.readouterr().out


def test_restoring_what_is_there_changes_nothing(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.config_("restore", str(stage.path), "--version", "3")
    assert "as it was in that version already" in capsys.readouterr().out and stage.events == ["lock", "lead"]


@pytest.mark.parametrize(
    ("path", "recovering", "reason"),
    [
        ("a.conf", True, "node1 is not the primary; restore the file on node2."),
        ("own.conf", False, "is not replicated on node1."),
        ("../../etc/passwd", False, "is not replicated on node1."),
        ("unknown.conf", False, "lists the versions that are kept."),
    ],
)
def test_what_is_not_restored(stage: Stage, path: str, recovering: bool, reason: str) -> None:
    stage.recovering = recovering
    with pytest.raises(RefusedError) as refused:
        stage.config_("restore", str(stage.root / path))
    assert refused.value.reasons[0].endswith(reason) and stage.path.read_bytes() == b"three\n"


def test_a_removal_is_no_version_to_show(stage: Stage) -> None:
    stage.remove()
    with pytest.raises(RefusedError) as refused:
        stage.config_("show", str(stage.path))
    assert "was removed at 2026-11-20" in refused.value.reasons[0]


def test_a_time_that_postgresql_does_not_understand(stage: Stage) -> None:
    stage.errors = [psycopg.errors.InvalidDatetimeFormat("invalid input syntax")]
    with pytest.raises(BackupHaError, match="'soon' is no time; try"):
        stage.config_("restore", str(stage.path), "--at", "soon")


def test_a_cluster_without_versions(stage: Stage) -> None:
    stage.ready = False
    with pytest.raises(BackupHaError, match="keeps no versions yet"):
        stage.config_("history")
