# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workload's files between two directories: what is scanned on one is applied on the other, to the byte."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _files
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Workload
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._files import (
    MAXIMUM_BYTES,
    Entry,
    apply,
    changes,
    is_excluded,
    scan,
)

USER = pwd.getpwuid(os.geteuid()).pw_name
GROUP = grp.getgrgid(os.getegid()).gr_name
# Only root can give files away; anybody else tests with the own name.
OTHER_USER, OTHER_GROUP = ("nobody", "nogroup") if os.geteuid() == 0 else (USER, GROUP)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A configuration directory as Bacula has it."""
    directory = tmp_path / "etc" / "bacula"
    (directory / "scripts").mkdir(parents=True)
    (directory / "bacula-dir.conf").write_bytes(b"Director {}\n")
    (directory / "bacula-dir.conf").chmod(0o640)
    (directory / "bacula-fd.conf").write_bytes(b"FileDaemon {}\n")
    (directory / "scripts" / "make_catalog_backup").write_bytes(b"#!/bin/sh\n")
    (directory / "scripts" / "make_catalog_backup").chmod(0o755)
    (directory / "current").symlink_to("bacula-dir.conf")
    return directory


@pytest.fixture
def aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where replaced files are kept."""
    monkeypatch.setattr(_files, "REPLACED_DIRECTORY", tmp_path / "replaced")
    return tmp_path / "replaced"


def workload(root: Path, *exclude: str) -> Workload:
    return Workload("bacula", files=(str(root),), exclude=exclude)


def digests(root: Path) -> dict[str, str]:
    return {path: entry.digest for path, entry in scan(workload(root)).items()}


def bring(root: Path, wanted: dict[str, Entry]) -> Path | None:
    """One application, as the module does it: compare, then write and remove what differs."""
    write, remove = changes({path: entry.digest for path, entry in wanted.items()}, digests(root))
    return apply([wanted[path] for path in write], remove)


def test_everything_below_is_found_with_its_kind(root: Path) -> None:
    kinds = {Path(path).relative_to(root).as_posix(): entry.kind for path, entry in scan(workload(root)).items()}
    assert kinds == {
        ".": "directory",
        "bacula-dir.conf": "file",
        "bacula-fd.conf": "file",
        "current": "link",
        "scripts": "directory",
        "scripts/make_catalog_backup": "file",
    }


def test_an_entry_holds_all_that_must_come_back(root: Path) -> None:
    found = scan(workload(root))
    conf, link = found[str(root / "bacula-dir.conf")], found[str(root / "current")]
    assert conf == Entry(str(root / "bacula-dir.conf"), "file", 0o640, USER, GROUP, b"Director {}\n")
    assert (link.kind, link.content) == ("link", b"bacula-dir.conf")


def test_per_node_files_stay_out(root: Path) -> None:
    found = scan(workload(root, f"{root}/bacula-fd.conf", f"{root}/scripts"))
    assert {Path(path).name for path in found} == {"bacula", "bacula-dir.conf", "current"}


@pytest.mark.parametrize(
    ("path", "excluded"),
    [
        ("/etc/bacula/bacula-fd.conf", True),
        ("/etc/bacula/bacula-fd.conf.dpkg-old", False),
        ("/etc/bacula/ssl", True),
        ("/etc/bacula/ssl/node.key", True),
        ("/etc/bacula/sslx", False),
        ("/etc/bacula/a.swp", True),
        ("/etc/bacula/A.SWP", False),
    ],
)
def test_exclusion(path: str, excluded: bool) -> None:
    assert is_excluded(path, ("/etc/bacula/bacula-fd.conf", "/etc/bacula/ssl", "*.swp")) is excluded


def test_a_path_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert scan(workload(tmp_path / "missing")) == {}


def test_a_dangling_link_is_an_entry(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert scan(workload(tmp_path / "link"))[str(tmp_path / "link")].content == b"nowhere"


def test_what_cannot_be_replicated_is_named(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "sock"))
        with pytest.raises(BackupHaError, match=r"sock is neither a file, a directory nor a symbolic link"):
            scan(workload(root))
        assert scan(workload(root, "*/sock"))


@pytest.mark.parametrize(("size", "allowed"), [(MAXIMUM_BYTES, True), (MAXIMUM_BYTES + 1, False)])
def test_a_file_may_be_so_large(tmp_path: Path, size: int, allowed: bool) -> None:
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(size)
    if allowed:
        assert len(scan(workload(path))[str(path)].content) == size
    else:
        with pytest.raises(BackupHaError, match=f"has {size} bytes; a replicated file may have {MAXIMUM_BYTES}"):
            scan(workload(path))


@pytest.mark.parametrize(
    "changed", [{"kind": "link"}, {"mode": 0o600}, {"owner": "bacula"}, {"group": "bacula"}, {"content": b"x"}]
)
def test_every_property_counts_in_the_digest(changed: dict[str, object]) -> None:
    entry = Entry("/a", "file", 0o640, "root", "root", b"Director")
    assert replace(entry, **changed).digest != entry.digest  # type: ignore[arg-type]


def test_the_place_does_not_count_in_the_digest() -> None:
    entry = Entry("/a", "file", 0o640, "root", "root", b"Director")
    assert replace(entry, path="/b").digest == entry.digest


def test_changes() -> None:
    wanted = {"/d": "1", "/d/same": "2", "/d/other": "3", "/d/new": "4"}
    present = {"/d": "1", "/d/same": "2", "/d/other": "0", "/old": "5", "/old/a": "6"}
    assert changes(wanted, present) == (["/d/new", "/d/other"], ["/old/a", "/old"])
    assert changes(wanted, wanted) == ([], [])


def test_a_lost_tree_comes_back_to_the_byte(root: Path, aside: Path) -> None:
    wanted = scan(workload(root))
    for path in sorted(wanted, reverse=True):
        _files._remove(Path(path))
    assert not root.exists()
    assert bring(root, wanted) is None
    assert scan(workload(root)) == wanted
    assert not aside.exists()


def test_a_second_application_finds_nothing_to_do(root: Path, aside: Path) -> None:
    wanted = scan(workload(root))
    (root / "bacula-dir.conf").write_bytes(b"changed by hand\n")
    bring(root, wanted)
    kept = sorted(aside.rglob("*"))
    assert changes({p: e.digest for p, e in wanted.items()}, digests(root)) == ([], [])
    bring(root, wanted)
    assert sorted(aside.rglob("*")) == kept


@pytest.mark.usefixtures("aside")
def test_what_a_crash_left_half_written_is_no_obstacle(root: Path) -> None:
    wanted = scan(workload(root))
    (root / "bacula-dir.conf").unlink()
    (root / ".bacula-dir.conf.backup-ha").write_bytes(b"half")
    apply([wanted[str(root / "bacula-dir.conf")]], [])
    assert scan(workload(root)) == wanted


@pytest.mark.usefixtures("aside")
def test_a_directory_that_still_holds_something_stays(root: Path) -> None:
    """What is excluded is not removed, and so neither is its directory."""
    apply([], [str(root / "scripts"), str(root / "missing")])
    assert (root / "scripts" / "make_catalog_backup").exists()


@pytest.mark.usefixtures("aside")
def test_a_file_comes_with_the_directories_that_it_needs(root: Path, tmp_path: Path) -> None:
    entry = scan(workload(root))[str(root / "bacula-dir.conf")]
    apply([replace(entry, path=str(tmp_path / "new" / "deep" / "a.conf"))], [])
    assert (tmp_path / "new" / "deep" / "a.conf").read_bytes() == entry.content


@pytest.mark.usefixtures("aside")
@pytest.mark.parametrize("mode", [0o700, 0o2775])
def test_a_directory_s_mode_is_brought(root: Path, mode: int) -> None:
    wanted = scan(workload(root))
    wanted[str(root / "scripts")] = replace(wanted[str(root / "scripts")], mode=mode)
    bring(root, wanted)
    assert scan(workload(root)) == wanted


def test_what_is_replaced_or_removed_is_kept(root: Path, aside: Path) -> None:
    wanted = scan(workload(root))
    (root / "bacula-dir.conf").write_bytes(b"changed by hand\n")
    (root / "extra.conf").write_bytes(b"added by hand\n")
    where = bring(root, wanted)
    assert where is not None and where.parent == aside
    assert aside.stat().st_mode & 0o777 == 0o700
    kept = {path.name: path.read_bytes() for path in where.rglob("*.conf")}
    assert kept == {"bacula-dir.conf": b"changed by hand\n", "extra.conf": b"added by hand\n"}
    assert (where / str(root).lstrip("/") / "extra.conf").exists()
    assert not (root / "extra.conf").exists()


@pytest.mark.usefixtures("aside")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o4750, 0o2755])
def test_mode_and_owner_are_brought(root: Path, mode: int) -> None:
    path = str(root / "scripts" / "make_catalog_backup")
    wanted = scan(workload(root))
    wanted[path] = replace(wanted[path], mode=mode, owner=OTHER_USER, group=OTHER_GROUP)
    bring(root, wanted)
    assert scan(workload(root)) == wanted


@pytest.mark.usefixtures("aside")
@pytest.mark.parametrize("name", ["current", "scripts"])
def test_owners_of_links_and_directories_are_brought(root: Path, name: str) -> None:
    wanted = scan(workload(root))
    wanted[str(root / name)] = replace(wanted[str(root / name)], owner=OTHER_USER, group=OTHER_GROUP)
    bring(root, wanted)
    assert scan(workload(root)) == wanted


def test_a_file_that_was_never_readable_by_all_is_not_so_for_a_moment(
    root: Path, aside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    fchown = os.fchown

    def watch(descriptor: int, owner: int, group: int) -> None:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        fchown(descriptor, owner, group)

    monkeypatch.setattr(os, "fchown", watch)
    path = str(root / "bacula-dir.conf")
    apply([replace(scan(workload(root))[path], content=b"Password = x\n")], [])
    assert modes == [0o600]
    assert aside.exists()
