# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of two nodes that change roles: no promotion undoes a change, and nothing is lost without a copy."""

from __future__ import annotations

import copy
import random
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _file_sync, _files
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._file_store import Source
from ansible_collections.duet.backup_ha.plugins.module_utils._file_sync import (
    read_unapplied,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.two_disks import Pair, Session, Tables, paired, paths


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return paired(tmp_path, monkeypatch)


def test_what_the_stream_held_is_applied_before_anything_is_captured(pair: Pair) -> None:
    """The change arrived, and the primary died before the secondary wrote it."""
    pair.write("node1", "a.conf", "two")
    pair.look("node1")
    pair.stream()
    pair.promote("node2")
    assert pair.read("node2") == "two", "the workload would start with the older file"
    pair.look("node2")
    assert (pair.read("node2"), pair.tables["node2"].source.node) == ("two", "node2")


def test_also_where_whoever_promoted_could_not(pair: Pair) -> None:
    pair.write("node1", "a.conf", "two")
    pair.look("node1")
    pair.stream()
    pair.primary = "node2"
    pair.look("node2")
    assert (pair.read("node2"), pair.tables["node2"].source.node) == ("two", "node2")


def test_a_change_that_never_left_is_put_aside_when_its_node_follows(pair: Pair) -> None:
    pair.write("node1", "a.conf", "never captured")
    pair.promote("node2")
    pair.stream()
    done = pair.look("node1")
    assert (
        pair.read("node1") == "one" and pair.aside("node1") == {"never captured"} and paths(done.edited) == ["a.conf"]
    )


def test_a_former_primary_that_goes_on_keeps_what_was_changed_meanwhile(pair: Pair) -> None:
    """It starts as a standby; its disk is newer than the stream, which nobody else has taken over."""
    pair.write("node1", "a.conf", "changed while it was down")
    pair.promote("node1")
    assert pair.read("node1") == "changed while it was down"
    assert paths(pair.look("node1").written) == ["a.conf"]


def test_the_disk_of_long_ago_does_not_count(pair: Pair) -> None:
    """node1 was the source before; node2 changed the file; node1 is promoted before it wrote that."""
    pair.promote("node2")
    pair.write("node2", "a.conf", "two")
    pair.look("node2")
    pair.stream()
    pair.promote("node1")
    assert pair.read("node1") == "two"


def test_two_nodes_that_change_roles_at_random_never_go_back(pair: Pair) -> None:
    """What is not streamed may be lost with its primary; what was streamed is never undone by something older."""
    dice, number, promotions = random.Random(4), 0, 0
    in_stream = {"node1": 0, "node2": 0}  # the newest change in each node's database
    pair.write("node1", "a.conf", "0")
    pair.look("node1")
    pair.stream()
    for _step in range(300):
        primary, other = ("node1", "node2") if pair.primary == "node1" else ("node2", "node1")
        follows = pair.tables[other].source.node == primary
        act = dice.choice(["change", "change", "look", "look", "stream", "apply", "edit", "promote"])
        if act == "change":
            number += 1
            pair.write(primary, "a.conf", str(number))
        elif act == "look":
            pair.look(primary)
            in_stream[primary] = int(pair.read(primary))
        elif act == "stream":
            pair.stream()
            in_stream[other] = in_stream[primary]
        elif act == "edit" and follows:
            pair.write(other, "a.conf", "-1")
        elif act == "apply" and follows:
            pair.look(other)
            assert int(pair.read(other)) == in_stream[other]
        elif act == "promote" and follows:
            pair.promote(other)
            assert int(pair.read(other)) == in_stream[other]
            promotions += 1
    assert promotions > 10 and number > 50


def test_what_cannot_be_written_is_not_captured_in_its_older_form(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.write("node1", "a.conf", "two")
    pair.write("node1", "b.conf", "b")
    pair.look("node1")
    pair.stream()
    write = _files._write

    def refuse(entry: _files.Entry) -> None:
        if entry.path.endswith("a.conf"):
            raise OSError(28, "No space left on device")
        write(entry)

    monkeypatch.setattr(_files, "_write", refuse)
    pair.promote("node2")
    done = pair.look("node2")
    assert done.failed and not done.settled and "a.conf could not be brought" in next(iter(done.failed.values()))
    assert pair.tables["node2"].files[str(pair.root / "a.conf")].content == b"two", "the older one was captured"
    assert pair.read("node2", "b.conf") == "b", "the others are there"
    monkeypatch.setattr(_files, "_write", write)
    assert pair.look("node2").settled and pair.read("node2") == "two"
    with pair.at("node2"):
        assert read_unapplied() == {}


def test_what_is_changed_after_that_counts(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.write("node1", "a.conf", "two")
    pair.look("node1")
    pair.stream()

    def refuse(_entry: _files.Entry) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_files, "_write", refuse)
    pair.promote("node2")
    pair.write("node2", "a.conf", "three")
    assert paths(pair.look("node2").written) == ["a.conf"]
    assert pair.tables["node2"].files[str(pair.root / "a.conf")].content == b"three"


def test_one_process_at_a_time(pair: Pair) -> None:
    with pair.at("node1"):
        with _file_sync.files_locked():
            seen: list[str] = []

            def second() -> None:
                try:
                    with _file_sync.files_locked(0.1):
                        seen.append("in")
                except BackupHaError as error:
                    seen.append(str(error))

            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
            assert "Another process has been replicating this node's files" in seen[0]
        with _file_sync.files_locked(0.0):
            pass


def test_a_promotion_does_not_fail_because_of_files(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_file_sync, "ADOPT_PATIENCE_S", 0.0)
    pair.primary = "node2"
    with pair.at("node2") as config:
        with _file_sync.files_locked():
            _file_sync.adopt(config)
        assert "were not brought up to date yet. Another process" in capsys.readouterr().err
        assert pair.tables["node2"].source.node == "node1", "nothing is captured before"
        pair.tables["node2"].ready = False
        _file_sync.adopt(config)
        assert capsys.readouterr().err == ""


def test_a_cluster_that_has_captured_nothing_takes_the_disk(pair: Pair) -> None:
    pair.tables["node1"].source = Source()
    pair.write("node1", "a.conf", "newer than the table")
    pair.promote("node1")
    assert pair.read("node1") == "newer than the table" and pair.tables["node1"].source.node == "node1"
    assert pair.tables["node1"].files[str(pair.root / "a.conf")].content == b"newer than the table", "at once"


def test_what_was_claimed_and_not_captured_removes_nothing(pair: Pair) -> None:
    pair.write("node2", "a.conf", "from a package")
    pair.tables["node2"] = Tables(source=Source("node1", 1))
    pair.look("node2")
    assert pair.read("node2") == "from a package"


def test_a_promotion_waits_for_the_application_that_is_under_way(pair: Pair) -> None:
    """The process has read an older version, stands still, and goes on while its node is promoted."""
    for name in ("a.conf", "b.conf"):
        pair.write("node1", name, "older")
    pair.look("node1")
    pair.stream()
    reached, go_on = threading.Event(), threading.Event()

    def stand_still() -> bool:
        reached.set()
        assert go_on.wait(10)
        return True  # asked a moment before the promotion

    def apply_slowly() -> None:
        session: Any = Session("node2", older, recovering=True)
        with _file_sync.files_locked():
            _file_sync.follow(pair.configs["node2"], session, may_write=stand_still)

    older = copy.deepcopy(pair.tables["node2"])
    with pair.at("node2"):
        thread = threading.Thread(target=apply_slowly)
        thread.start()
        assert reached.wait(10)
        for path in (str(pair.root / name) for name in ("a.conf", "b.conf")):
            pair.tables["node2"].files[path] = replace(pair.tables["node2"].files[path], content=b"newer")
        pair.primary = "node2"
        threading.Timer(0.2, go_on.set).start()
        _file_sync.adopt(pair.configs["node2"])
        thread.join()
        assert {(pair.root / name).read_text("utf-8") for name in ("a.conf", "b.conf")} == {"newer"}
    assert pair.tables["node2"].source.node == "node2"
