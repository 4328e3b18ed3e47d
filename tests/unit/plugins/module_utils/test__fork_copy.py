# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fork is kept whole or not at all, and its account says the same to people and to programs."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._config import NodeConfig
from ansible_collections.duet.backup_ha.plugins.module_utils._fork import Fork
from ansible_collections.duet.backup_ha.plugins.module_utils._fork_copy import (
    RESERVE_BYTES,
    describe,
    keep,
    kept_before,
    space_for,
    summarize,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

SEGMENT = 16 * 1024 * 1024
NAME = "000000010000000000000003"
TABLES = [{"database": "bacula", "table": "public.job", "inserted": 3, "updated": 1, "deleted": 0}]


def fork(commits: int = 2, missing: tuple[str, ...] = ()) -> Fork:
    when = "2026-11-22 19:09:41.564539 UTC" if commits else None
    return Fork(0x3000060, 0x3004560, 1, 10, commits, when, when, segments=[NAME], missing=list(missing))


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    wal = tmp_path / "data" / "pg_wal"
    wal.mkdir(parents=True)
    (wal / NAME).write_bytes(b"WAL")
    (wal / "00000002.history").write_text("1\t0/3000060\n", encoding="ascii")
    return replace(CONFIG, postgresql=replace(CONFIG.postgresql, data_directory=str(tmp_path / "data")))


def test_the_account() -> None:
    summary = summarize(CONFIG, fork(), TABLES, kept=1795364819.6)
    assert summary["kept"] == "2026-11-22 16:26:59 UTC"
    assert (summary["fork_lsn"], summary["end_lsn"], summary["bytes"]) == ("0/3000060", "0/3004560", 0x4500)
    assert (summary["commits"], summary["tables"], summary["segments"]) == (2, TABLES, [NAME])
    text = describe(summary, "/usr/bin")
    assert "From 0/3000060 to 0/3004560 on timeline 1: 17.2 KiB of WAL in 1 segment." in text
    assert "2 transactions committed, the first at 2026-11-22 19:09:41.564539 UTC" in text
    assert "  bacula: public.job: 3 inserted, 1 updated, 0 deleted" in text
    assert "/usr/bin/pg_waldump --path=wal --timeline=1 --start=0/3000060" in text
    assert "lost" not in text


def test_the_account_of_little_and_of_what_is_gone() -> None:
    text = describe(summarize(CONFIG, fork(0, missing=("000000010000000000000004",)), [], 0.0), "/usr/bin")
    assert "0 transactions committed.\n" in text
    assert "  none\n" in text
    assert "No longer on disk, and lost: 000000010000000000000004." in text


def test_what_is_kept(config: NodeConfig, tmp_path: Path) -> None:
    signs: list[None] = []
    place = keep(config, fork(), TABLES, lambda: signs.append(None), tmp_path / "forks")
    assert place.parent == tmp_path / "forks" and place.name.endswith("-tli1")
    assert (place / "wal" / NAME).read_bytes() == b"WAL"
    assert sorted(path.name for path in (place / "wal").iterdir()) == sorted(["00000002.history", NAME])
    assert json.loads((place / "summary.json").read_text(encoding="utf-8"))["commits"] == 2
    assert "public.job" in (place / "summary.txt").read_text(encoding="utf-8")
    assert [path.stat().st_mode & 0o77 for path in place.rglob("*")] == [0] * len(list(place.rglob("*")))
    assert len(signs) == 1
    assert kept_before(fork(), tmp_path / "forks") == place
    assert kept_before(replace(fork(), end=0x3004561), tmp_path / "forks") is None


@pytest.mark.parametrize("broken", ["copyfile", "rename"])
def test_interrupted_it_is_kept_again(
    config: NodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(shutil if broken == "copyfile" else os, broken, fail)
        with pytest.raises(OSError, match="power cut"):
            keep(config, fork(), TABLES, folder=tmp_path / "forks")
    assert kept_before(fork(), tmp_path / "forks") is None
    place = keep(config, fork(), TABLES, folder=tmp_path / "forks")
    assert [path.name for path in (tmp_path / "forks").iterdir()] == [place.name]


def test_an_account_that_can_not_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "forks" / "x").mkdir(parents=True)
    (tmp_path / "forks" / "x" / "summary.json").write_text("{", encoding="utf-8")
    assert kept_before(fork(), tmp_path / "forks") is None
    assert kept_before(fork(), tmp_path / "nowhere") is None


def test_space(tmp_path: Path) -> None:
    needed, free = space_for(fork(), SEGMENT, tmp_path / "not" / "yet" / "there")
    assert needed == SEGMENT + RESERVE_BYTES
    assert free > 0
