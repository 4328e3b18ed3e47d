# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What surrounds pg_rewind: this node's own settings stay, and what could not recover is no success."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _rewind
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig
from ansible_collections.duet.backup_ha.plugins.module_utils._control import ControlData
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._rewind import lacking_wal, rewind
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

SEGMENT = 16 * 1024 * 1024
OLD, FORKED, NEW = (f"00000001000000000000000{n}" for n in (2, 3, 4))


# As pg_rewind of PostgreSQL 15 writes it.
LABEL = """\
START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
CHECKPOINT LOCATION: 0/2000060
BACKUP METHOD: pg_rewind
BACKUP FROM: standby
START TIME: 2026-11-22 19:33:03 UTC
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "main"
    wal = directory / "pg_wal"
    wal.mkdir(parents=True)
    for name in (OLD, FORKED, NEW, "00000002.history"):
        (wal / name).write_text(f"own {name}", encoding="ascii")
    (directory / "postgresql.auto.conf").write_text("own settings", encoding="ascii")
    monkeypatch.setattr(shutil, "chown", lambda *_arguments: None)
    reached = ControlData("in archive recovery", "0/3000100", 2, "7", False, True, "0/4000000", 2)
    monkeypatch.setattr(_rewind, "control_data", lambda _server: reached)
    return directory


def config(data: Path) -> NodeConfig:
    return replace(CONFIG, postgresql=replace(CONFIG.postgresql, data_directory=str(data)))


def works(data: Path) -> str:
    """As pg_rewind of PostgreSQL 15: all becomes the primary's, and what recovery needs of its own WAL stays."""
    (data / "pg_wal" / NEW).unlink()
    (data / "pg_wal" / "000000020000000000000003").write_text("theirs", encoding="ascii")
    (data / "postgresql.auto.conf").write_text("their settings", encoding="ascii")
    (data / "backup_label").write_text(LABEL, encoding="ascii")
    return ""


def test_the_settings_stay(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rewind, "_run", lambda _config, _lock: works(data))
    assert rewind(config(data), SEGMENT, 0) == ""
    assert (data / "postgresql.auto.conf").read_text(encoding="ascii") == "own settings"
    assert [path.name for path in data.parent.iterdir()] == ["main"]


def test_what_could_not_recover_is_no_success(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "pg_wal" / OLD).unlink()
    monkeypatch.setattr(_rewind, "_run", lambda _config, _lock: works(data))
    assert "1 WAL segments" in rewind(config(data), SEGMENT, 0)


@pytest.mark.parametrize(
    ("label", "end", "why"),
    [
        (LABEL, "0/4000000", ""),
        (LABEL, "0/5000000", ""),
        (LABEL, "0/5000001", "1 WAL segments"),
        (LABEL.replace("0/2000028", "0/1000028"), "0/4000000", "1 WAL segments"),
        ("", "0/4000000", "no backup label"),
    ],
)
def test_whether_recovery_has_all_its_wal(data: Path, label: str, end: str, why: str) -> None:
    said = lacking_wal(label, end, data / "pg_wal", SEGMENT)
    assert why in said and bool(why) == bool(said)


def test_a_failure_is_told_and_nothing_is_put_back(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_config: NodeConfig, _lock: int) -> str:
        works(data)
        return "pg_rewind failed: why"

    monkeypatch.setattr(_rewind, "_run", fails)
    assert rewind(config(data), SEGMENT, 0) == "pg_rewind failed: why"
    assert (data / "postgresql.auto.conf").read_text(encoding="ascii") == "their settings"
    assert [path.name for path in data.parent.iterdir()] == ["main"]


# (what runuser's program says, its exit code, what is told)
@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ("pg_rewind: connected to server\npg_rewind: Done!\n", 0, ""),
        ("pg_rewind: no rewind required\n", 0, "pg_rewind found nothing to rewind"),
        ("pg_rewind: error: could not find common ancestor\n", 1, "pg_rewind failed: .*common ancestor.*"),
        (
            "pg_rewind: connected to server\npg_rewind: error: connection to server was lost\n",
            1,
            "pg_rewind failed: .*was lost.*",
        ),
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
    assert re.fullmatch(told, answer), answer
    words = arguments.read_text(encoding="ascii")
    assert "-u postgres -- /usr/lib/postgresql/15/bin/pg_rewind" in words
    assert "--config-file /etc/postgresql/15/main/postgresql.conf --no-ensure-shutdown" in words
    assert "password" not in words and "sslmode=verify-full" in words


def test_a_primary_that_was_gone_at_once_left_everything_as_it_was(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = 'pg_rewind: error: connection to server at "198.18.0.12", port 5432 failed: Connection refused'
    program = data.parent / "runuser"
    program.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{data.parent}:{os.environ['PATH']}")
    with (
        (data.parent / "lock").open("w", encoding="ascii") as lock,
        pytest.raises(UnreachableError, match="node2 went away before the rewind began, so nothing was changed"),
    ):
        _rewind._run(config(data), lock.fileno())
