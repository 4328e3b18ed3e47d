# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is scanned on one node is applied on the other, to the byte; nothing is lost without a copy."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _files
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Workload
from ansible_collections.duet.backup_ha.plugins.module_utils._files import (
    Entry,
    apply,
    changes,
    read_entry,
    survey,
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


def scan(workload: Workload) -> dict[str, Entry]:
    """Every entry, where nothing is wrong with any."""
    found = survey(workload)
    assert not found.problems and not found.unsettled
    return {path: read_entry(path, workload) for path in found.digests}


def digests(root: Path) -> dict[str, str]:
    return survey(workload(root)).digests


def bring(root: Path, wanted: dict[str, Entry]) -> Path | None:
    """One application, as the module does it: compare, then write and remove what differs."""
    write, remove = changes({path: entry.digest for path, entry in wanted.items()}, digests(root))
    return apply([wanted[path] for path in write], remove).aside


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


def test_nothing_that_was_put_aside_is_replaced_by_what_comes_later(root: Path, aside: Path) -> None:
    wanted = scan(workload(root))
    for number in range(3):
        (root / "bacula-dir.conf").write_bytes(b"%d" % number)
        bring(root, wanted)
    assert sorted(path.read_bytes() for path in aside.rglob("*.conf")) == [b"0", b"1", b"2"]


def test_what_the_history_holds_is_not_put_aside(root: Path, aside: Path) -> None:
    wanted = scan(workload(root))
    (root / "bacula-dir.conf").write_bytes(b"an older version\n")
    done = apply([wanted[str(root / "bacula-dir.conf")]], [], is_known=lambda path: path.endswith("dir.conf"))
    assert (done.kept, done.aside, aside.exists()) == ([], None, False)
    assert scan(workload(root)) == wanted


def test_one_that_cannot_be_written_does_not_stop_the_others(root: Path, aside: Path) -> None:
    wanted = scan(workload(root))
    conf, scripts, daemon = (str(root / name) for name in ("bacula-dir.conf", "scripts", "bacula-fd.conf"))
    entries = [
        replace(wanted[conf], owner="nobody-of-that-name"),
        replace(wanted[conf], path=scripts),  # it holds something, so it can't become a file
        replace(wanted[daemon], content=b"new\n"),
    ]
    done = apply(entries, [])
    assert done.written == [daemon] and Path(daemon).read_bytes() == b"new\n" and aside.exists()
    assert done.problems[conf].startswith(f"{conf} can't be written: the user nobody-of-that-name or the group")
    assert done.problems[scripts] == f"{scripts} can't be written: Is a directory."


def test_a_role_that_changes_ends_it_between_two_files(root: Path, aside: Path) -> None:
    wanted = scan(workload(root))
    (root / "added.conf").write_bytes(b"by hand\n")
    answers = iter([True, False, False])
    entries = [replace(entry, content=b"new\n") for entry in wanted.values() if entry.kind == "file"]
    done = apply(entries, [str(root / "added.conf")], may_write=lambda: next(answers))
    assert (done.stopped, done.removed, done.written) == (True, [str(root / "added.conf")], [])
    assert scan(workload(root)) == wanted and aside.exists()


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
