# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The moment when a finished copy takes the place of what was there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._clone import _swap


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
