# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the process for the files says to the journal, and to the agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import (
    _file_guard,
    _file_process,
    _file_state,
    _file_store,
    _spool,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._file_process import synchronize
from ansible_collections.duet.backup_ha.plugins.module_utils._file_state import State, read_state, write_state
from ansible_collections.duet.backup_ha.plugins.module_utils._file_sync import Done
from ansible_collections.duet.backup_ha.plugins.module_utils._file_watch import FAILED, SETTLED, SOON
from ansible_collections.duet.backup_ha.plugins.module_utils._grant import ARMED, GRANT
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session

LARGE = {"/etc/a": "/etc/a has 99 bytes."}


class Stage:
    """A node; ``done`` is what comes of a look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.events: list[str] = []
        self.done = Done()
        self.errors: list[Exception] = []
        self.recovering, self.ready, self.may_apply = False, True, True
        self.locks: set[int] = set()
        monkeypatch.setattr(_file_state, "STATE_PATH", directory / "files.json")
        monkeypatch.setattr(_file_store, "is_ready", lambda _session: self.ready)
        replaced: dict[str, Any] = {
            "files_locked": self.locked,
            "connect_cluster_database": lambda _server: Session("node1"),
            "in_recovery": lambda _session: self.recovering,
            "locks_held": lambda _session: self.locks,
            "may_apply": lambda: self.may_apply,
            "lead": lambda *_arguments: self.did("lead"),
            "follow": lambda *_arguments, may_write: self.did(f"follow {may_write()}"),
        }
        for name, function in replaced.items():
            monkeypatch.setattr(_file_process, name, function)

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.events.append("lock")
        yield

    def did(self, event: str) -> Done:
        self.events.append(event)
        for error in self.errors:
            raise error
        return self.done


def events() -> list[tuple[str, dict[str, Any]]]:
    found = [_spool.read(path) or {} for path in _spool.waiting()]
    return [(event["kind"], event["details"]) for event in found]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    ("recovering", "ready", "may_apply", "locks", "event", "code"),
    [
        (False, True, False, {GRANT}, "lead", SETTLED),
        (True, True, True, {ARMED}, "follow True", SETTLED),
        (True, True, False, set(), "", SOON),
        (True, True, True, {GRANT}, "", SOON),
        (True, False, True, set(), "", SOON),
        (False, False, True, set(), "", SOON),
    ],
)
def test_what_is_done_depends_on_the_role_after_the_lock(
    stage: Stage, recovering: bool, ready: bool, may_apply: bool, locks: set[int], event: str, code: int
) -> None:
    stage.recovering, stage.ready, stage.may_apply, stage.locks = recovering, ready, may_apply, locks
    assert synchronize(CONFIG) == code
    assert stage.events == ["lock", event] if event else ["lock"]


@pytest.mark.parametrize(
    ("done", "code"),
    [
        (Done(problems=LARGE), SETTLED),
        (Done(failed=LARGE, settled=False), FAILED),
        (Done(settled=False), SOON),
        (UnreachableError("The local PostgreSQL does not answer."), FAILED),
        (OSError(28, "No space left on device"), FAILED),
    ],
)
def test_when_the_next_look_is_due(stage: Stage, done: Done | Exception, code: int) -> None:
    if isinstance(done, Exception):
        stage.errors = [done]
    else:
        stage.done = done
    assert synchronize(CONFIG) == code


def test_a_problem_is_said_once_and_again_when_it_comes_back(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for problems in (LARGE, LARGE, {}, LARGE):
        stage.done = Done(problems=problems)
        synchronize(CONFIG)
        said.append(capsys.readouterr().err)
    assert said == [f"{LARGE['/etc/a']}\n", "", "", f"{LARGE['/etc/a']}\n"]
    assert events() == [("file_not_replicated", {"path": "/etc/a"})] * 2


def test_what_keeps_all_files_back_for_a_while_repeats_nothing_of_one(stage: Stage) -> None:
    stage.done = Done(problems=LARGE)
    synchronize(CONFIG)
    stage.errors = [UnreachableError("The local PostgreSQL does not answer.")]
    synchronize(CONFIG)
    stage.errors = []
    synchronize(CONFIG)
    assert len(events()) == 1


def test_a_failure_is_said_once_and_forgets_nothing(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.done = Done(
        known={"/etc/a": ((1, 2), "digest")}, failed={"/etc/b": "/etc/b can't be written."}, settled=False
    )
    synchronize(CONFIG)
    capsys.readouterr()
    stage.errors = [BackupHaError("It is broken.")]
    synchronize(CONFIG)
    assert capsys.readouterr().err == "The configuration files are not replicated now. It is broken.\n"
    synchronize(CONFIG)
    assert capsys.readouterr().err == ""
    assert read_state().known == {"/etc/a": ((1, 2), "digest")} and list(read_state().failed) == ["/etc/b"]


def test_what_was_edited_here_is_named_with_its_copy(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.done = Done(written=["/etc/a"], edited=["/etc/a"], aside=Path("/kept"))
    synchronize(CONFIG)
    assert capsys.readouterr().err.splitlines() == [
        "/etc/a was changed on node1 alone. What was there is kept in /kept.",
        "Configuration files replicated: /etc/a.",
    ]
    assert events() == [("file_edited", {"path": "/etc/a", "kept": "/kept"})]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"known": {}}', '{"known": 1, "failed": {}, "said": {}}'])
def test_a_broken_memory_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    path = tmp_path / "files.json"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(_file_state, "STATE_PATH", path)
    assert read_state() == State()
    write_state(State(said={"a": "b"}))
    assert read_state() == State(said={"a": "b"}) and path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("was_primary", "record", "left_over", "allowed"),
    [
        (False, None, False, True),
        (False, {"id": "1"}, True, True),
        (False, {"id": "1"}, False, False),
        (True, None, False, False),
        (True, {"id": "1"}, True, False),
    ],
)
def test_whether_files_may_be_applied(
    monkeypatch: pytest.MonkeyPatch, was_primary: bool, record: dict[str, str] | None, left_over: bool, allowed: bool
) -> None:
    monkeypatch.setattr(_file_guard, "was_primary", lambda: was_primary)
    monkeypatch.setattr(_file_guard, "read_operation", lambda: record)
    monkeypatch.setattr(_file_guard, "is_left_over", lambda *_arguments: left_over)
    assert _file_guard.may_apply() is allowed
