# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent does, in which order, and what it asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _agent, _endpoint
from ansible_collections.duet.backup_ha.plugins.module_utils._agent_decision import Peer
from ansible_collections.duet.backup_ha.plugins.module_utils._down_word import DownWord
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, UnreachableError
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

PROTECTED = {
    "recovering": False,
    "heard": None,
    "setting": '"node2"',
    "written": "0/5000000",
    "timeline": 3,
    "state": "streaming",
    "flushed": "0/5000000",
    "node": "node1",
    "word_timeline": 3,
    "protected": True,
}


class Stage:
    """Everything around the agent, which notes what happens; ``found`` is what its one query gives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[Any] = []
        self.told: list[tuple[str, int]] = []  # each with the number of events before it
        self.noticed, self.words = list[str](), list[str]()
        self.found: dict[str, Any] = dict(PROTECTED)
        self.stops, self.busy = True, False
        self.looked_closer: tuple[str, Any] | None = None
        self.error = b""
        self.new_value = '"node2"'
        self.peer = Peer(answers=False)
        session: Any = SimpleNamespace(closed=False, close=lambda: None, execute=self.events.append, pgconn=self)
        replaced: dict[str, Any] = {
            "connect_cluster_database": lambda _server: session,
            "connect_local": lambda _server: session,
            "rows": lambda _session, _query, _peer: [self.found],
            "one": self.one,
            "ask_peer": lambda _config: self.peer,
            "Returning": lambda _config: SimpleNamespace(once=self.look_closer, hurries=False),
            "gateways": lambda _address: ("198.18.0.1",),
            "answers": lambda _address, _endpoint: False,
            "change_setting": lambda _config, _session, on: self.events.append(("setting", on)),
            "give_word": lambda _session, _node, protected, _why: self.events.append(("word", protected)),
            "forget_having_been_primary": lambda: self.events.append("forget"),
            "write_standby_signal": lambda _server: self.events.append("standby.signal"),
            "stop_fast": lambda _server, _timeout: self.stop("stop", self.stops),
            "stop_at_once": lambda _server, _timeout: self.stop("stop at once", False),
            "start": lambda _server: self.events.append("start"),
            "note_heard": lambda at: self.events.append(("heard", at)),
            "say": lambda _line: None,
            "emit": self.tell,
            "Notices": lambda _config: SimpleNamespace(after=self.notice),
            "end_given_up": lambda _session, port: self.words.append(f"given up on {port}"),
        }
        for name, function in replaced.items():
            monkeypatch.setattr(_agent, name, function)
        monkeypatch.setattr(_endpoint, "delete", lambda _endpoint: self.events.append("endpoint"))
        for verb in ("give", "take_back"):
            monkeypatch.setattr(DownWord, verb, lambda _self, verb=verb: self.words.append(verb))
        self.session = session
        self.agent = _agent.Agent(CONFIG)

    def tell(self, kind: str, _message: str, _config: object, **_details: object) -> None:
        self.told.append((kind, len(self.events)))

    def notice(self, seen: Any, _session: object) -> None:
        self.noticed.append(seen.role)

    def look_closer(self, role: str, session: Any) -> None:
        self.looked_closer = (role, session)

    def stop(self, how: str, ends: bool) -> bool:
        self.events.append(how)
        return ends

    def one(self, _session: object, query: str) -> Any:
        if "recovery" in query:
            return self.found["recovering"]
        return self.new_value if "SHOW" in query else "0/6000000"

    # What the low-level session of the checkpoint is asked.

    def send_query(self, query: bytes) -> None:
        self.events.append(query)

    def consume_input(self) -> None:
        pass

    def is_busy(self) -> bool:
        return self.busy

    def get_result(self) -> Any:
        return SimpleNamespace(error_message=self.error)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_what_is_not_wanted_is_taken_back_the_word_first(stage: Stage) -> None:
    stage.agent.once()
    assert stage.events == [("word", False), ("setting", False)]


def test_it_is_told_after_the_word_and_before_the_first_commit_that_does_not_wait(stage: Stage) -> None:
    stage.agent.once()
    assert stage.told == [("protection_degraded", 1)]
    assert stage.noticed == ["primary"]


def test_the_end_of_a_primary_is_told_once_and_holds_nothing_up(stage: Stage) -> None:
    stage.found.update(state=None)
    stage.peer, stage.stops = Peer(True, 4), False
    stage.agent.once()
    stage.agent.once()
    (told,) = stage.told
    assert told[0] == "stopped_serving" and told[1] > 0, "it does not end, and is not told again"
    stage.found.update(recovering=True, timeline=None)
    stage.agent.once()
    stage.found.update(recovering=False, timeline=3)
    stage.agent.once()
    assert [kind for kind, _before in stage.told].count("stopped_serving") == 2, "another time"


def test_a_standby_gives_no_word(stage: Stage) -> None:
    stage.found.update(recovering=True, timeline=None)
    stage.agent.once()
    assert stage.events == [("setting", False)]
    assert stage.looked_closer == ("secondary", stage.session)


def test_a_standby_notes_when_it_last_heard_from_its_primary(stage: Stage) -> None:
    stage.found.update(recovering=True, timeline=None, setting="")
    stage.agent.once()
    assert stage.events == []
    stage.found.update(heard=1000.5)
    stage.agent.once()
    assert stage.events == [("heard", 1000.5)]


def test_what_is_begun_goes_on_sooner(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stage.agent.once() == _agent.NEXT_STEP_S, "something was done"
    stage.found.update(setting="", protected=False)
    assert stage.agent.once() == _agent.PASS_S
    stage.agent._checkpoint, stage.agent._timeline, stage.busy = stage.session, 3, True
    assert stage.agent.once() == _agent.NEXT_STEP_S, "a checkpoint is on its way"
    stage.found.update(setting='"node2"')

    def fail(*_arguments: object) -> None:
        raise BackupHaError("The disk is full.")

    monkeypatch.setattr(_agent, "give_word", fail)
    assert stage.agent.once() == _agent.PASS_S, "what fails is not tried more often"


def test_whoever_was_outvoted_forgets_and_stops_after_the_address_is_gone(stage: Stage) -> None:
    stage.found.update(state=None)
    stage.peer = Peer(True, 4)
    stage.agent.once()
    assert stage.events == ["endpoint", "forget", "standby.signal", "stop", "start"]


def test_whoever_is_cut_off_remembers_that_it_was_primary(stage: Stage) -> None:
    _agent.stop_serving(CONFIG, for_good=False)
    assert stage.events == ["endpoint", "standby.signal", "stop", "start"]


def test_a_server_that_does_not_stop_is_ended_and_not_started_before_it_has(stage: Stage) -> None:
    stage.stops = False
    with pytest.raises(BackupHaError, match="does not end"):
        _agent.stop_serving(CONFIG, for_good=True)
    assert stage.events[-2:] == ["stop", "stop at once"]


def test_commits_count_as_waiting_only_after_a_whole_checkpoint(stage: Stage) -> None:
    stage.agent._session = stage.session
    stage.busy = True
    stage.agent._enforce()
    assert stage.events == [("setting", True), "SET statement_timeout = 0", b"CHECKPOINT"]
    stage.agent._await_checkpoint(3)
    assert stage.agent._counts_from is None, "another timeline than before: begun anew"
    stage.agent._enforce()
    stage.agent._await_checkpoint(3)
    assert stage.agent._counts_from is None, "not ended"
    stage.busy = False
    stage.agent._await_checkpoint(3)
    assert stage.agent._counts_from == "0/6000000"
    stage.agent._await_checkpoint(4)
    assert stage.agent._counts_from is None


@pytest.mark.parametrize("what", ["the new value is not known yet", "the checkpoint failed", "a standby"])
def test_commits_do_not_count_as_waiting(stage: Stage, what: str) -> None:
    stage.agent._session = stage.session
    stage.agent._timeline = 3
    if what == "a standby":
        stage.found["recovering"] = True
    elif what == "the checkpoint failed":
        stage.error = b"ERROR: out of space"
    else:
        stage.new_value = ""
    stage.agent._enforce()
    stage.agent._await_checkpoint(3)
    assert stage.agent._counts_from is None
    assert (b"CHECKPOINT" in stage.events) is (what == "the checkpoint failed")


def test_a_problem_is_said_once_and_ends_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def broken(*_arguments: object) -> None:
        raise BackupHaError("It is broken.")

    monkeypatch.setattr(_agent, "say", said.append)
    monkeypatch.setattr(_agent, "rows", broken)
    stage.agent.once()
    stage.agent.once()
    assert said == ["It is broken."]


def test_a_server_that_does_not_run_needs_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_server: object) -> None:
        raise UnreachableError("The local PostgreSQL does not answer.")

    monkeypatch.setattr(_agent, "connect_cluster_database", silent)
    stage.agent.once()
    assert stage.events == []
    assert stage.looked_closer == ("none", None), "a data directory that can't be used is looked at all the same"


def test_while_the_server_does_not_answer_the_other_node_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_server: object) -> None:
        raise UnreachableError("The local PostgreSQL does not answer.")

    stage.agent.once()
    monkeypatch.setattr(_agent, "connect_cluster_database", nobody)
    stage.agent._forget_sessions()
    stage.agent.once()
    assert stage.words == ["take_back", "give"]


@pytest.mark.parametrize(
    ("setting", "state", "looks"), [('"node2"', None, 1), ("", None, 0), ('"node2"', "streaming", 0)]
)
def test_clients_that_gave_up_are_looked_for_while_commits_wait_for_nobody(
    stage: Stage, setting: str, state: str | None, looks: int
) -> None:
    stage.found.update(setting=setting, state=state)
    stage.agent.once()
    assert stage.words.count("given up on 5432") == looks
