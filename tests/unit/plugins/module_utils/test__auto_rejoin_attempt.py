# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt: what is looked at before it, what is written down, and what counts as a failure."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _auto_rejoin_attempt as attempts
from ansible_collections.duet.backup_ha.plugins.module_utils._auto_rejoin_decision import (
    DONE,
    FAILED,
    FORK,
    RUNNING,
    SILENT,
    Need,
    Record,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    BackupHaError,
    BusyError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._rejoin_outcome import Outcome
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session

FORKED = Need(FORK, "fork on timeline 1 at 0/3000060")


def raise_if(error: Exception | None) -> None:
    if error:
        raise error


class Stage:
    """node1 has a fork, and node2 is primary on timeline 2."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[Any] = []
        self.said: list[str] = []
        self.need: Need | None = FORKED
        self.record: Record | None = None
        self.local = True
        self.fails: Exception | None = None
        self.busy: Exception | None = None
        self.steps = ["keep_fork", "rewind", "start", "await_streaming"]
        self.timelines: list[int | None] = [2, 2]  # of the primary, before and after
        self.history: Exception | None = None
        replaced: dict[str, Any] = {
            "read_record": lambda: self.record,
            "write_record": self.write,
            "look_closer": lambda _config, session, _record: self.look(session),
            "connect_local": lambda _server: self.session("node1", self.local),
            "connect_peer": lambda _config, dbname="postgres": self.session("node2", dbname == "postgres" or True),
            "begin": lambda _id, kind, by, _controller, _dead: self.begin(kind, by),
            "end": lambda _id: self.events.append("end"),
            "rejoin": lambda _config, _timeout, record: self.rejoin(record),
            "in_recovery": lambda _session: False,
            "timeline_of": lambda _session: self.timelines.pop(0),
            "add_to_history": lambda _session, entry: self.tell(entry),
            "decline": lambda _config, need, _record: self.events.append(("decline", need.refusal)),
            "this_start": lambda: "boot",
            "say": self.said.append,
        }
        for name, function in replaced.items():
            monkeypatch.setattr(attempts, name, function)
        monkeypatch.setattr(attempts, "report", lambda *_arguments, **_options: ["node1: follows node2"])

    def session(self, server: str, answers: bool) -> Session:
        if not answers or (server == "node2" and self.timelines[:1] == [None]):
            raise UnreachableError(f"PostgreSQL on {server} does not answer.")
        return Session(server)

    def look(self, session: object) -> Need | None:
        self.events.append(("look", session is not None))
        return self.need

    def begin(self, kind: str, by: str) -> None:
        raise_if(self.busy)
        self.events.append(("begin", kind, by))

    def write(self, record: Record) -> None:
        self.record = record
        self.events.append((record.outcome, record.attempts))

    def rejoin(self, record: str) -> Outcome:
        assert self.record and record == f"duet-rejoin-{self.record.at:.3f}"
        self.events.append("rejoin")
        raise_if(self.fails)
        return Outcome(self.steps)

    def tell(self, entry: dict[str, Any]) -> None:
        raise_if(self.history)
        self.events.append((entry["kind"], entry["from_node"], entry["to_node"], entry["who"], entry["outcome"]))

    def run(self) -> int:
        return attempts.attempt(CONFIG)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_it_looks_writes_down_rejoins_and_tells(stage: Stage) -> None:
    assert stage.run() == 0
    assert stage.events == [
        ("look", True),
        ("begin", "rejoin", "node1 itself"),
        (RUNNING, 1),
        "rejoin",
        (DONE, 1),
        ("rejoin", "node1", "node2", "node1 itself", "done"),
        "end",
    ]
    assert stage.said == ["node1: follows node2"]


def test_what_only_had_to_wait_is_no_history(stage: Stage) -> None:
    stage.steps = ["await_streaming"]
    assert stage.run() == 0
    assert stage.events[-2:] == [(DONE, 1), "end"]


def test_a_history_that_can_not_be_written_is_no_failure(stage: Stage) -> None:
    stage.history = UnreachableError("node2 does not answer.")
    assert stage.run() == 0
    assert stage.events[-2:] == [(DONE, 1), "end"]
    assert "The history could not be written: node2 does not answer." in stage.said


@pytest.mark.parametrize(
    ("change", "events"),
    [
        ({"need": None}, [("look", True)]),
        ({"need": None, "local": False}, [("look", False)]),
        ({"need": FORKED._replace(refusal="no.")}, [("look", True), ("decline", "no.")]),
        ({"record": Record(FORKED.mark, 5, FAILED, 0, "boot")}, [("look", True)]),
    ],
)
def test_what_needs_no_attempt_or_must_not_have_one(stage: Stage, change: dict[str, Any], events: list[Any]) -> None:
    """Whoever starts the unit."""
    for name, value in change.items():
        setattr(stage, name, value)
    assert stage.run() == 0
    assert stage.events == events


def test_what_is_under_way_is_not_disturbed_and_not_asked_all_the_time(stage: Stage) -> None:
    stage.busy = BusyError("Another operation is running on this cluster.", ["By somebody."])
    assert stage.run() == 0
    assert stage.events[1:] == [(SILENT, 0)]


def test_a_rejoin_by_hand_is_not_disturbed(stage: Stage) -> None:
    stage.fails = BusyError("Nothing was changed.", ["Another rejoin still works."])
    assert stage.run() == 0
    assert stage.events[-2:] == ["end", (SILENT, 0)]


@pytest.mark.parametrize("error", [BackupHaError("It failed."), OSError("It failed."), RefusedError("It", ["failed."])])
def test_a_failure_counts_and_is_said_with_the_command(stage: Stage, error: Exception) -> None:
    stage.fails = error
    assert stage.run() == 1
    assert stage.events[-2:] == [(FAILED, 1), "end"]
    assert stage.record and "It failed." in stage.record.problem
    assert "It failed." in stage.said[0] and "The next attempt is in 1 min" in stage.said[0]
    assert stage.said[0].endswith("backup-ha rejoin")


def test_the_last_failure_is_the_end_of_it(stage: Stage) -> None:
    stage.record = Record(FORKED.mark, 4, FAILED, 0, "boot")
    stage.fails = BackupHaError("It failed.")
    assert stage.run() == 1
    assert "in 5 attempts: It failed. It is tried no more." in stage.said[0]


@pytest.mark.parametrize("after", [None, 3])
def test_a_primary_that_went_away_or_restarted_is_no_failure(stage: Stage, after: int | None) -> None:
    stage.timelines = [2, after]
    stage.fails = BackupHaError("pg_basebackup failed.")
    assert stage.run() == 1
    assert stage.events[-2:] == [(SILENT, 0), "end"]
    assert "goes on when it is back" in stage.said[0]
