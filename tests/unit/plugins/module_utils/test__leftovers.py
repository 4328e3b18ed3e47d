# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an interrupted copy leaves: in nobody's way, and never the last directory with data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._leftovers import (
    free_bytes,
    leftover_bytes,
    leftovers,
    remove_leftovers,
)

MIB = 2**20


def make(folder: Path, *names: str) -> Path:
    """Directories with one MiB each; returns where the data directory is or would be."""
    for name in names:
        (folder / name / "base/5").mkdir(parents=True)
        (folder / name / "base/5/1259").write_bytes(b"1" * MIB)
    return folder / "main"


# (what is there, what may go)
CASES = [
    ([], []),
    (["main"], []),
    (["main.incoming"], ["main.incoming"]),
    (["main", "main.incoming"], ["main.incoming"]),
    (["main", "main.outgoing"], ["main.outgoing"]),
    (["main", "main.incoming", "main.outgoing"], ["main.incoming", "main.outgoing"]),
    # Cut off between the two renames: the old data may be all that there is.
    (["main.incoming", "main.outgoing"], ["main.incoming"]),
    (["main.outgoing"], []),
    (["main", "other.outgoing", "main.old"], []),
]


@pytest.mark.parametrize(("there", "gone"), CASES)
def test_what_may_go(tmp_path: Path, there: list[str], gone: list[str]) -> None:
    place = make(tmp_path, *there)
    assert [path.name for path in leftovers(place)] == gone
    assert len(gone) * MIB <= leftover_bytes(place) < len(gone) * MIB + MIB // 2
    remove_leftovers(place)
    assert {path.name for path in tmp_path.iterdir()} == {*there} - {*gone}
    assert leftover_bytes(str(place)) == 0


def test_what_goes_before_the_copy_is_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = make(tmp_path, "main", "main.incoming")
    free = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", {tmp_path: free}.__getitem__)
    assert free_bytes(place) == free.free + leftover_bytes(place) >= free.free + MIB
