# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of two nodes: what is captured and what is applied."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _file_sync, _files
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Workload
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._file_sync import (
    plan_application,
    plan_capture,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._file_tree import removable
from ansible_collections.duet.backup_ha.plugins.module_utils._files import Survey
from ansible_collections.duet.backup_ha.tests.unit.plugins.two_disks import Pair, paired, paths


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return paired(tmp_path, monkeypatch)


def test_a_change_a_mode_a_new_file_and_a_deletion_come_over(pair: Pair) -> None:
    pair.write("node1", "b.conf", "b")
    pair.look("node1")
    pair.stream()
    pair.look("node2")
    pair.write("node1", "a.conf", "two")
    pair.remove("node1", "b.conf")
    done = pair.look("node1")
    assert (paths(done.written), paths(done.removed), done.settled) == (["a.conf"], ["b.conf"], True)
    pair.stream()
    done = pair.look("node2")
    assert (paths(done.written), paths(done.removed), done.edited) == (["a.conf"], ["b.conf"], [])
    assert (pair.read("node2"), pair.read("node2", "b.conf"), pair.aside("node2")) == ("two", "", set())
    with pair.at("node1"):
        (pair.root / "a.conf").chmod(0o600)
    pair.look("node1")
    pair.stream()
    pair.look("node2")
    with pair.at("node2"):
        assert (pair.root / "a.conf").stat().st_mode & 0o777 == 0o600


def test_a_second_look_finds_nothing_to_do(pair: Pair) -> None:
    for node in ("node1", "node2"):
        done = pair.look(node)
        assert (done.written, done.removed, done.edited, done.problems, done.failed) == ([], [], [], {}, {})
        assert done.settled


def test_a_file_that_was_edited_on_the_secondary_is_put_aside(pair: Pair) -> None:
    pair.write("node2", "a.conf", "edited here")
    pair.write("node2", "added.conf", "added here")
    done = pair.look("node2")
    assert sorted(paths(done.edited)) == ["a.conf", "added.conf"]
    assert pair.aside("node2") == {"edited here", "added here"}
    assert (pair.read("node2"), pair.read("node2", "added.conf")) == ("one", "")


def test_what_is_per_node_stays_on_both(pair: Pair) -> None:
    pair.write("node1", "own.conf", "1")
    pair.write("node2", "own.conf", "2")
    pair.look("node1")
    pair.stream()
    pair.look("node2")
    assert (pair.read("node1", "own.conf"), pair.read("node2", "own.conf")) == ("1", "2")
    assert len(pair.tables["node2"].files) == 2


def test_nothing_is_applied_on_a_primary(pair: Pair) -> None:
    pair.write("node2", "a.conf", "newer")
    pair.primary = "node2"
    with pair.at("node2") as config, pytest.raises(BackupHaError, match="node2 accepts writes"):
        _file_sync.follow(config, pair.session())  # type: ignore[arg-type]
    assert pair.read("node2") == "newer"


def test_a_user_who_does_not_exist_here_is_named(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.write("node1", "a.conf", "two")
    pair.look("node1")
    pair.stream()

    def nobody(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", nobody)
    done = pair.look("node2")
    assert not done.settled and any("does not exist on this node" in said for said in done.failed.values())


def test_a_file_that_became_too_large_keeps_its_last_version(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "MAXIMUM_BYTES", 10)
    pair.write("node1", "a.conf", "x" * 11)
    pair.write("node1", "b.conf", "b")
    done = pair.look("node1")
    assert paths(done.written) == ["etc", "b.conf"] or paths(done.written) == ["b.conf"]
    assert done.removed == [] and "has 11 bytes" in done.problems[str(pair.root / "a.conf")] and done.settled


def test_a_file_that_this_node_does_not_list_is_not_written(pair: Pair, tmp_path: Path) -> None:
    entry = next(iter(pair.tables["node2"].files.values()))
    outside = str(tmp_path / "elsewhere" / "passwd")
    pair.tables["node2"].files[outside] = _files.Entry(outside, "file", 0o644, entry.owner, entry.group, b"root")
    done = pair.look("node2")
    assert list(done.problems) == [outside] and "not below the paths" in done.problems[outside] and done.settled
    assert not os.path.exists(outside)


def test_nor_through_a_link_that_leads_elsewhere(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with pair.at("node1"):
        (pair.root / "conf.d").mkdir()
        (pair.root / "conf.d" / "x.conf").write_bytes(b"x")
    pair.look("node1")
    pair.stream()
    with pair.at("node2"):
        (pair.root / "conf.d").symlink_to(tmp_path / "elsewhere")
    pair.look("node2")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert pair.read("node2", "conf.d/x.conf") == "x", "the link gave way to the directory"
    del pair.tables["node2"].files[str(pair.root / "conf.d")]
    with pair.at("node2"):
        (pair.root / "conf.d" / "x.conf").unlink()
        (pair.root / "conf.d").rmdir()
        (pair.root / "conf.d").symlink_to(tmp_path / "elsewhere")
    done = pair.look("node2")
    assert list((tmp_path / "elsewhere").iterdir()) == [] and done.failed


def test_a_link_that_leaves_is_not_written_either(pair: Pair) -> None:
    """An older version captured it as it was."""
    entry = next(iter(pair.tables["node2"].files.values()))
    link = str(pair.root / "link")
    pair.tables["node2"].files[link] = _files.Entry(link, "link", 0o777, entry.owner, entry.group, b"/etc/passwd")
    done = pair.look("node2")
    assert done.written == [] and "would be a link to /etc/passwd, outside" in done.failed[link]


def test_what_does_not_come_out_as_it_is_in_the_stream_is_written_once(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user with two names: the node reads the other one back."""
    pair.write("node1", "a.conf", "two")
    pair.look("node1")
    pair.stream()
    path, read = str(pair.root / "a.conf"), _files._read

    def other_name(name: str, status: os.stat_result, workload: Workload) -> _files.Entry:
        found = read(name, status, workload)
        return replace(found, owner="toor") if name == path else found

    monkeypatch.setattr(_files, "_read", other_name)
    done = pair.look("node2")
    assert done.written == [path] and list(done.unlike) == [path] and not done.settled
    for _again in range(2):
        done = pair.look("node2", done.unlike)
        assert (done.written, list(done.unlike)) == ([], [path]) and "does not come out here" in done.failed[path]
    pair.write("node2", "a.conf", "edited")
    assert pair.look("node2", done.unlike).written == [path]


def test_a_rehearsal_changes_nothing(pair: Pair) -> None:
    pair.write("node1", "a.conf", "two")
    with pair.at("node1") as config:
        done = _file_sync.lead(config, pair.session(), check=True)  # type: ignore[arg-type]
    assert paths(done.written) == ["a.conf"]
    assert pair.tables["node1"].files[str(pair.root / "a.conf")].content == b"one"
    pair.write("node2", "a.conf", "edited")
    with pair.at("node2") as config:
        done = _file_sync.follow(config, pair.session(), check=True)  # type: ignore[arg-type]
    assert (paths(done.written), pair.read("node2")) == (["a.conf"], "edited")


@pytest.mark.parametrize(
    ("disk", "problems", "unsettled", "held", "write", "remove"),
    [
        ({"/a": "1"}, {}, set(), set(), [], []),
        ({"/a": "2"}, {}, set(), set(), ["/a"], []),
        ({"/a": "2"}, {}, set(), {"/a"}, [], []),
        ({}, {}, set(), set(), [], ["/a"]),
        ({}, {"/a": "too large"}, set(), set(), [], []),
        ({}, {}, {"/a"}, set(), [], []),
        ({}, {}, set(), {"/a"}, [], []),
        ({"/a": "1", "/b": "1"}, {}, set(), set(), ["/b"], []),
    ],
)
def test_what_is_captured(
    disk: dict[str, str],
    problems: dict[str, str],
    unsettled: set[str],
    held: set[str],
    write: list[str],
    remove: list[str],
) -> None:
    assert plan_capture({"/a": "1"}, Survey(disk, problems, unsettled), held) == (write, remove)


@pytest.mark.parametrize(
    ("disk", "unsettled", "write", "remove", "foreign"),
    [
        ({"/e/a": "1"}, set(), [], [], []),
        ({"/e/a": "2"}, set(), ["/e/a"], [], []),
        ({}, {"/e/a"}, [], [], []),
        ({"/e/a": "1", "/e/b": "1"}, set(), [], ["/e/b"], []),
    ],
)
def test_what_is_applied(
    disk: dict[str, str], unsettled: set[str], write: list[str], remove: list[str], foreign: list[str]
) -> None:
    workload = Workload("any", files=("/e",), exclude=("/e/own*",))
    in_stream = {"/e/a": "1", "/e/own.conf": "1"}
    found = plan_application(workload, in_stream, Survey(disk, {}, unsettled))
    assert (found[0], found[1], list(found[2])) == (write, remove, foreign)
    assert list(plan_application(workload, {**in_stream, "/x": "1"}, Survey(disk))[2]) == ["/x"]


def test_a_directory_that_holds_something_else_stays(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    (tmp_path / "full" / "own").touch()
    wanted = sorted((str(path) for path in tmp_path.rglob("*") if path.name != "own"), reverse=True)
    assert paths(removable(wanted)) == ["a", "empty"]
