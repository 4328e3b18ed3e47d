# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What surrounds pg_rewind: the WAL before the fork stays, this node's own settings stay, and failures are told."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _rewind
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig
from ansible_collections.duet.backup_ha.plugins.module_utils._rewind import put_wal_aside, put_wal_back, rewind
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

SEGMENT = 16 * 1024 * 1024
OLD, FORKED, NEW = (f"00000001000000000000000{n}" for n in (2, 3, 4))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "main"
    wal = directory / "pg_wal"
    wal.mkdir(parents=True)
    for name in (OLD, FORKED, NEW, "00000002.history"):
        (wal / name).write_text(f"own {name}", encoding="ascii")
    (directory / "postgresql.auto.conf").write_text("own settings", encoding="ascii")
    monkeypatch.setattr(shutil, "chown", lambda *_arguments: None)
    return directory


def config(data: Path) -> NodeConfig:
    return replace(CONFIG, postgresql=replace(CONFIG.postgresql, data_directory=str(data)))


def works(data: Path) -> str:
    """As pg_rewind of PostgreSQL 15: pg_wal and all settings become the primary's."""
    for path in (data / "pg_wal").iterdir():
        path.unlink()
    (data / "pg_wal" / "000000020000000000000003").write_text("theirs", encoding="ascii")
    (data / "postgresql.auto.conf").write_text("their settings", encoding="ascii")
    return ""


def test_the_wal_before_the_fork_and_the_settings_stay(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rewind, "_run", lambda _config, _lock: works(data))
    assert rewind(config(data), 3 * SEGMENT + 0x60, SEGMENT, 0) == ""
    wal = {path.name: path.read_text(encoding="ascii") for path in (data / "pg_wal").iterdir()}
    assert wal == {OLD: f"own {OLD}", "000000020000000000000003": "theirs"}
    assert (data / "postgresql.auto.conf").read_text(encoding="ascii") == "own settings"
    assert [path.name for path in data.parent.iterdir()] == ["main"]


def test_a_failure_is_told_and_nothing_is_put_back(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_config: NodeConfig, _lock: int) -> str:
        works(data)
        return "pg_rewind failed: why"

    monkeypatch.setattr(_rewind, "_run", fails)
    assert rewind(config(data), 3 * SEGMENT, SEGMENT, 0) == "pg_rewind failed: why"
    assert (data / "postgresql.auto.conf").read_text(encoding="ascii") == "their settings"
    assert [path.name for path in data.parent.iterdir()] == ["main"]


def test_wal_on_a_file_system_of_its_own_is_copied(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    aside = data.parent / "aside"
    put_wal_aside(data / "pg_wal", aside, 4, SEGMENT)
    assert sorted(path.name for path in aside.iterdir()) == [OLD, FORKED]


def test_what_the_primary_still_had_is_not_replaced(data: Path) -> None:
    aside = data.parent / "aside"
    put_wal_aside(data / "pg_wal", aside, 3, SEGMENT)
    (data / "pg_wal" / OLD).unlink()
    (data / "pg_wal" / OLD).write_text("theirs", encoding="ascii")
    put_wal_back(aside, data / "pg_wal")
    assert (data / "pg_wal" / OLD).read_text(encoding="ascii") == "theirs"


# (what runuser's program says, its exit code, what is told)
@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ("pg_rewind: connected to server\npg_rewind: Done!\n", 0, ""),
        ("pg_rewind: no rewind required\n", 0, "pg_rewind found nothing to rewind"),
        ("pg_rewind: error: could not find common ancestor\n", 1, "pg_rewind failed: .*common ancestor"),
    ],
)
def test_what_pg_rewind_says(data: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int, told: str) -> None:
    programs = data.parent / "bin"
    programs.mkdir()
    arguments = data.parent / "arguments"
    program = programs / "runuser"
    program.write_text(f'#!/bin/sh\necho "$@" > {arguments}\nprintf "%s" "{said}" >&2\nexit {code}\n', encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with (data.parent / "lock").open("w", encoding="ascii") as lock:
        answer = _rewind._run(config(data), lock.fileno())
    assert (answer == told) if not told.startswith("pg_rewind failed") else "common ancestor" in answer
    words = arguments.read_text(encoding="ascii")
    assert "-u postgres -- /usr/lib/postgresql/15/bin/pg_rewind" in words
    assert "--config-file /etc/postgresql/15/main/postgresql.conf --no-ensure-shutdown" in words
    assert "password" not in words and "sslmode=verify-full" in words
