# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A path that was one kind of thing and becomes another: every pair of kinds, both ways."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _files
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Workload
from ansible_collections.duet.backup_ha.plugins.module_utils._files import Entry, apply, changes, read_entry, survey


def scan(workload: Workload) -> dict[str, Entry]:
    return {path: read_entry(path, workload) for path in survey(workload).digests}


def nothing(_path: Path) -> None:
    """There is no such path."""


def file(path: Path) -> None:
    path.write_bytes(b"content\n")


def link(path: Path) -> None:
    path.symlink_to("elsewhere")


def link_to_directory(path: Path) -> None:
    target = path.parent / "target"
    target.mkdir(exist_ok=True)
    (target / "outside.conf").write_bytes(b"belongs to nobody\n")
    path.symlink_to("target")


def empty(path: Path) -> None:
    path.mkdir()


def tree(path: Path) -> None:
    (path / "deep" / "er").mkdir(parents=True)
    (path / "deep" / "a.conf").write_bytes(b"a\n")
    (path / "deep" / "er" / "b.conf").write_bytes(b"b\n")


KINDS = (nothing, file, link, link_to_directory, empty, tree)
Maker = Callable[[Path], None]


@pytest.mark.parametrize(("before", "after"), list(permutations(KINDS, 2)), ids=lambda kind: kind.__name__)
def test_every_kind_becomes_every_other(
    before: Maker, after: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_files, "REPLACED_DIRECTORY", tmp_path / "replaced")
    root = tmp_path / "etc"
    root.mkdir()
    # Both may be where a link leads to; they are on both sides.
    (root / "target").mkdir()
    (root / "target" / "outside.conf").write_bytes(b"belongs to nobody\n")
    workload = Workload("any", files=(str(root),))
    after(root / "place")
    wanted = scan(workload)
    for path in sorted(wanted, reverse=True):
        if path.startswith(str(root / "place")):
            _files._remove(Path(path))
    before(root / "place")
    present = scan(workload)
    write, remove = changes({p: e.digest for p, e in wanted.items()}, {p: e.digest for p, e in present.items()})
    where = apply([wanted[path] for path in write], remove).aside
    assert scan(workload) == wanted
    lost = {entry.content for path, entry in present.items() if entry.kind == "file" and path not in wanted}
    kept = {path.read_bytes() for path in where.rglob("*") if path.is_file()} if where else set()
    assert lost <= kept
    assert not list(root.rglob(".*.backup-ha"))


def test_what_a_link_leads_to_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "REPLACED_DIRECTORY", tmp_path / "replaced")
    link_to_directory(tmp_path / "place")
    apply([], [str(tmp_path / "place")])
    assert (tmp_path / "target" / "outside.conf").read_bytes() == b"belongs to nobody\n"
    assert not (tmp_path / "place").is_symlink()


def test_a_file_that_becomes_a_directory_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "REPLACED_DIRECTORY", tmp_path / "replaced")
    place = tmp_path / "place"
    empty(place)
    entry = scan(Workload("any", files=(str(place),)))[str(place)]
    place.rmdir()
    file(place)
    where = apply([entry], []).aside
    assert where is not None
    assert (where / str(place).lstrip("/")).read_bytes() == b"content\n"
