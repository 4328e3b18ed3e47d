# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The moment when a finished copy takes the place of what was there."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _clone
from ansible_collections.duet.backup_ha.plugins.module_utils._clone import _swap
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG


def data(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "PG_VERSION").write_text(content, encoding="ascii")
    return path


@pytest.mark.parametrize("before", [None, "old"])
def test_the_copy_takes_the_place(tmp_path: Path, before: str | None) -> None:
    place = tmp_path / "main"
    if before:
        data(place, before)
    _swap(data(tmp_path / "main.incoming", "new"), place)
    assert (place / "PG_VERSION").read_text(encoding="ascii") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["main"]


def test_what_an_earlier_swap_left_is_cleared_away(tmp_path: Path) -> None:
    data(tmp_path / "main.outgoing", "older")
    _swap(data(tmp_path / "main.incoming", "new"), data(tmp_path / "main", "old"))
    assert [path.name for path in tmp_path.iterdir()] == ["main"]


def test_nothing_is_deleted_before_the_copy_is_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    incoming, place = data(tmp_path / "main.incoming", "new"), data(tmp_path / "main", "old")
    rename = os.rename

    def fail_at_the_second(source: Path, target: Path) -> None:
        if source == incoming:
            raise OSError("power cut")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_at_the_second)
    with pytest.raises(OSError, match="power cut"):
        _swap(incoming, place)
    contents = {path.name: (path / "PG_VERSION").read_text(encoding="ascii") for path in tmp_path.iterdir()}
    assert contents == {"main.incoming": "new", "main.outgoing": "old"}


def test_without_a_copy_nothing_is_lost(tmp_path: Path) -> None:
    place = data(tmp_path / "main", "old")
    with pytest.raises(FileNotFoundError):
        _swap(tmp_path / "main.incoming", place)
    kept = [path for path in tmp_path.rglob("PG_VERSION") if path.read_text(encoding="ascii") == "old"]
    assert len(kept) == 1


def test_the_copy_is_in_place_on_the_disk_before_the_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut could bring back a directory whose mark was taken away meanwhile."""
    events: list[str] = []
    remove = shutil.rmtree
    incoming, place = data(tmp_path / "main.incoming", "new"), data(tmp_path / "main", "old")

    def sync(path: Path) -> None:
        assert path == tmp_path and (place / "PG_VERSION").read_text(encoding="ascii") == "new"
        events.append("sync")

    def rmtree(path: Path, ignore_errors: bool) -> None:
        events.append("remove" if path.exists() else "nothing to remove")
        remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(_clone, "sync_directory", sync, raising=False)
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    _swap(incoming, place)
    assert events == ["nothing to remove", "sync", "remove"]


@pytest.mark.parametrize("steps", [["tidy"], ["copy"]])
def test_what_was_left_goes_before_the_next_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str]
) -> None:
    for name in ("main", "main.incoming", "main.outgoing"):
        data(tmp_path / name, "old")
    copied: list[list[str]] = []
    monkeypatch.setattr(
        _clone, "_copy", lambda _config, _target: copied.append(sorted(path.name for path in tmp_path.iterdir()))
    )
    server = replace(CONFIG.postgresql, data_directory=str(tmp_path / "main"))
    _clone.clone(replace(CONFIG, postgresql=server), steps, timeout=1)
    assert copied == ([["main"]] if steps == ["copy"] else [])
    assert [path.name for path in tmp_path.iterdir()] == ["main"]
