# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found of the workload's files, and what can't be replicated."""

from __future__ import annotations

import grp
import json
import os
import pwd
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _files
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Workload
from ansible_collections.duet.backup_ha.plugins.module_utils._file_tree import is_excluded
from ansible_collections.duet.backup_ha.plugins.module_utils._files import (
    MAXIMUM_BYTES,
    Entry,
    UnsettledError,
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


def workload(root: Path, *exclude: str) -> Workload:
    return Workload("bacula", files=(str(root),), exclude=exclude)


def scan(workload: Workload) -> dict[str, Entry]:
    """Every entry, where nothing is wrong with any."""
    found = survey(workload)
    assert not found.problems and not found.unsettled
    return {path: read_entry(path, workload) for path in found.digests}


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
    assert scan(workload(tmp_path))[str(tmp_path / "link")].content == b"nowhere"


def problem(root: Path, path: Path, *exclude: str) -> str:
    """What is wrong with one path; everything else is found all the same."""
    found = survey(workload(root, *exclude))
    assert set(found.problems) <= {str(path)} and str(path) not in found.digests
    assert {str(root), str(root / "bacula-dir.conf"), str(root / "scripts")} <= set(found.digests)
    return found.problems.get(str(path), "")


def test_what_cannot_be_replicated_is_named_and_stops_nothing_else(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "sock"))
        said = problem(root, root / "sock")
        assert said == f"{root}/sock is neither a file, a directory nor a symbolic link; it can't be replicated."
        assert problem(root, root / "sock", "*/sock") == ""


def test_a_pipe_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert "neither a file" in problem(root, root / "pipe")


@pytest.mark.parametrize(("size", "allowed"), [(MAXIMUM_BYTES, True), (MAXIMUM_BYTES + 1, False)])
def test_a_file_may_be_so_large(root: Path, size: int, allowed: bool) -> None:
    path = root / "large"
    with path.open("wb") as stream:
        stream.truncate(size)
    if allowed:
        assert len(scan(workload(path))[str(path)].content) == size
    else:
        assert problem(root, path) == f"{path} has {size} bytes; a replicated file may have {MAXIMUM_BYTES}."


@pytest.mark.parametrize(
    ("target", "inside"),
    [
        ("bacula-dir.conf", True),
        ("scripts", True),
        ("scripts/../bacula-dir.conf", True),
        ("nowhere", True),
        ("/etc/passwd", False),
        ("../elsewhere", False),
        ("scripts/../../elsewhere", False),
        ("/nowhere/at/all", False),
    ],
)
def test_a_link_that_leaves_is_named(root: Path, target: str, inside: bool) -> None:
    (root / "link").symlink_to(target)
    if inside:
        assert scan(workload(root))[str(root / "link")].content == target.encode()
    else:
        said = problem(root, root / "link")
        assert said.startswith(f"{root}/link is a symbolic link to {target}, which is outside the replicated paths;")


def test_a_link_to_a_listed_directory_elsewhere_stays_inside(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (root / "link").symlink_to(tmp_path / "other")
    both = Workload("bacula", files=(f"{root}/", str(tmp_path / "other")))
    assert str(root / "link") in scan(both)


def test_an_owner_without_a_name_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    found = survey(workload(root))
    assert found.digests == {} and "which has no name here" in found.problems[str(root)]


def test_a_name_that_is_no_text_is_named(root: Path) -> None:
    with open(os.fsencode(root) + b"/\xff", "wb"):
        pass
    (root / "link").symlink_to(os.fsdecode(b"\xff"))
    problems = survey(workload(root)).problems
    assert sum("is not UTF-8; it can't be replicated" in said for said in problems.values()) == 2
    json.dumps(problems, ensure_ascii=False).encode()


def test_what_vanishes_while_it_is_read_was_never_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor's temporary file."""
    (root / "4913").write_bytes(b"")

    def gone(path: str) -> bytes:
        if path.endswith("4913"):
            os.unlink(path)
        return content(path)

    content = _files._content
    monkeypatch.setattr(_files, "_content", gone)
    found = survey(workload(root))
    assert not found.problems and not found.unsettled and str(root / "4913") not in found.digests
    with pytest.raises(FileNotFoundError):
        read_entry(str(root / "bacula-dir.conf" / "below"), workload(root))


@pytest.mark.parametrize(("writes", "settles"), [(1, True), (2, True), (3, False)])
def test_a_file_that_is_being_written_is_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, writes: int, settles: bool
) -> None:
    path, left = str(root / "bacula-dir.conf"), writes

    def written_meanwhile(name: str) -> bytes:
        nonlocal left
        found = content(name)
        if name == path and left:
            left -= 1
            Path(path).write_bytes(b"x" * (100 + left))
        return found

    content = _files._content
    monkeypatch.setattr(_files, "_content", written_meanwhile)
    if settles:
        assert read_entry(path, workload(root)).content == b"x" * 100
    else:
        with pytest.raises(UnsettledError):
            read_entry(path, workload(root))
        left = writes
        assert survey(workload(root)).unsettled == {path}


def test_what_has_not_changed_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "FRESH_NS", -(10**12))
    first = survey(workload(root))
    read: list[str] = []

    def note(path: str) -> bytes:
        read.append(path)
        return content(path)

    content = _files._content
    monkeypatch.setattr(_files, "_content", note)
    assert survey(workload(root), first.known) == first
    assert read == []
    (root / "bacula-dir.conf").write_bytes(b"Director {}\n")
    survey(workload(root), first.known)
    assert read == [str(root / "bacula-dir.conf")]


def test_what_changed_a_moment_ago_is_read_again(root: Path) -> None:
    """It may change once more within the same tick of the file system's clock."""
    assert survey(workload(root)).known == {}


@pytest.mark.parametrize(
    "changed", [{"kind": "link"}, {"mode": 0o600}, {"owner": "bacula"}, {"group": "bacula"}, {"content": b"x"}]
)
def test_every_property_counts_in_the_digest(changed: dict[str, object]) -> None:
    entry = Entry("/a", "file", 0o640, "root", "root", b"Director")
    assert replace(entry, **changed).digest != entry.digest  # type: ignore[arg-type]


def test_the_place_does_not_count_in_the_digest() -> None:
    entry = Entry("/a", "file", 0o640, "root", "root", b"Director")
    assert replace(entry, path="/b").digest == entry.digest
