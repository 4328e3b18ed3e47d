# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent does next: each rule by itself, and that the word about protection is never a lie."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._agent_decision import (
    FOREIGN,
    NONE,
    OURS,
    Action,
    Memory,
    Peer,
    Seen,
    decide,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._config import AgentConfig
from ansible_collections.duet.backup_ha.plugins.module_utils._lsn import format_lsn
from hypothesis import given, settings
from hypothesis import strategies as st

OFF, PREFERRED, REQUIRED = AgentConfig("off"), AgentConfig("preferred"), AgentConfig("required")
STREAMS = Seen(100.0, "primary", 3, written="0/5000000", flushed="0/5000000", streams=True)
PROTECTED = replace(STREAMS, setting=OURS, counts_from="0/4000000", declared=True, word=True)
ALONE = replace(PROTECTED, streams=False, flushed=None, peer=Peer(answers=False), witness=True)


def name(config: AgentConfig, seen: Seen) -> str | None:
    action = decide(config, Memory(), seen)[1]
    return action.name if action else None


@pytest.mark.parametrize(
    ("config", "seen", "wanted"),
    [
        (OFF, STREAMS, None),
        (OFF, PROTECTED, "release"),
        (OFF, replace(STREAMS, word=True), "release"),
        (OFF, replace(PROTECTED, setting=FOREIGN), None),
        (PREFERRED, replace(STREAMS, setting=FOREIGN), None),
        (PREFERRED, STREAMS, "enforce"),
        (PREFERRED, replace(STREAMS, flushed="0/3000000"), None),
        (PREFERRED, replace(STREAMS, flushed=None), None),
        (PREFERRED, replace(STREAMS, setting=OURS), "enforce"),
        (PREFERRED, replace(STREAMS, setting=OURS, begun=True), None),
        (PREFERRED, replace(STREAMS, setting=OURS, counts_from="0/5000000"), "declare"),
        (PREFERRED, replace(STREAMS, setting=OURS, counts_from="0/5000001"), None),
        (PREFERRED, PROTECTED, None),
        (PREFERRED, replace(ALONE, setting=NONE, declared=False, word=False), None),
        (PREFERRED, replace(ALONE, setting=NONE), "release"),
        (REQUIRED, replace(ALONE, setting=NONE, declared=False, word=False), None),
        (REQUIRED, replace(ALONE, setting=NONE, declared=False), "enforce"),
        (REQUIRED, STREAMS, "enforce"),
        (REQUIRED, replace(STREAMS, flushed="0/3000000"), None),
        (REQUIRED, ALONE, None),
        (REQUIRED, PROTECTED, None),
        (REQUIRED, Seen(1.0, "secondary"), "enforce"),
        (REQUIRED, Seen(1.0, "secondary", setting=OURS), None),
        (PREFERRED, Seen(1.0, "secondary", setting=OURS), "release"),
        (PREFERRED, Seen(1.0, "secondary", setting=FOREIGN), None),
        (REQUIRED, Seen(1.0, "none"), None),
    ],
)
def test_one_look(config: AgentConfig, seen: Seen, wanted: str | None) -> None:
    assert name(config, seen) == wanted


@pytest.mark.parametrize("config", [OFF, PREFERRED, REQUIRED])
@pytest.mark.parametrize(("timeline", "follows"), [(None, False), (2, False), (3, False), (4, True)])
def test_whoever_was_outvoted_follows(config: AgentConfig, timeline: int | None, follows: bool) -> None:
    seen = replace(ALONE, peer=Peer(True, timeline), witness=None)
    assert (name(config, seen) == "follow") is follows


def looks(config: AgentConfig, seen: Seen, *times: float) -> list[str | None]:
    """Looks at these times that all see the same; the names of what follows."""
    memory, found = Memory(), []
    for at in times:
        memory, action = decide(config, memory, replace(seen, at=at))
        found.append(action.name if action else None)
    return found


def every_second(count: int) -> list[float]:
    return [float(second) for second in range(count)]


def test_a_primary_that_prefers_to_serve_goes_on_alone_after_the_grace() -> None:
    assert looks(PREFERRED, ALONE, *every_second(11)) == [None] * 10 + ["release"]


def test_a_secondary_that_came_back_in_between_begins_the_grace_anew() -> None:
    memory = Memory()
    for at, seen in enumerate([ALONE] * 9 + [PROTECTED] + [ALONE] * 10):
        memory, action = decide(PREFERRED, memory, replace(seen, at=float(at)))
        assert action is None


@pytest.mark.parametrize(("seen", "wanted"), [(replace(ALONE, witness=False), "isolate"), (ALONE, None)])
def test_a_primary_without_secondary_and_witness_stops(seen: Seen, wanted: str | None) -> None:
    for config in (OFF, PREFERRED, REQUIRED):
        plain = replace(seen, setting=NONE, word=False, declared=False) if config is OFF else seen
        found = looks(config, plain, *every_second(16))
        assert (found[15] == "isolate") is (wanted == "isolate"), config
        if wanted:
            assert found[:15] == [None] * 15, "nothing is released while nobody else is reached"


def test_isolation_can_be_switched_off() -> None:
    config = AgentConfig("off", isolation_timeout=0)
    cut_off = replace(ALONE, setting=NONE, word=False, declared=False, witness=False)
    assert looks(config, cut_off, *every_second(60)) == [None] * 60


def test_without_a_known_witness_nobody_is_cut_off() -> None:
    lonely = replace(ALONE, setting=NONE, word=False, declared=False, witness=None)
    assert looks(OFF, lonely, *every_second(60)) == [None] * 60


@pytest.mark.parametrize("seen", [ALONE, replace(ALONE, witness=False)])
def test_whoever_slept_has_not_watched(seen: Seen) -> None:
    """A machine that was frozen for a minute counts from when it woke."""
    assert looks(PREFERRED, seen, 0.0, 1.0, 61.0, 62.0) == [None] * 4


# A primary with its secondary, second by second: what is acknowledged, what has arrived, and what the word says.
EVENTS = ("cut", "heal", "busy", "idle", "slow", "quick", "restart", "freeze")


@dataclass
class Pair:
    """``obeyed``: the setting as the checkpointer has read it. Positions are bytes."""

    config: AgentConfig
    setting: str = NONE
    obeyed: bool = False
    busy: bool = False
    linked: bool = True
    slow: bool = False
    begun: bool = False
    counts_from: str | None = None
    word: bool = False
    written: int = 100
    acknowledged: int = 100
    flushed: int = 100
    at: float = 0.0
    memory: Memory = field(default_factory=Memory)

    def second(self) -> None:
        self.at += 1.0
        self.written += 10
        if not self.busy:
            self.obeyed = self.setting == OURS
            if self.begun:
                self.begun, self.counts_from = False, format_lsn(self.written)
        if self.linked:
            self.flushed = self.flushed + 1 if self.slow else self.written - 3
        self.acknowledged = max(self.acknowledged, self.flushed if self.obeyed else self.written)

    def look(self) -> Seen:
        return Seen(
            self.at,
            "primary",
            3,
            setting=self.setting,
            counts_from=self.counts_from,
            begun=self.begun,
            declared=self.word,
            word=self.word,
            streams=self.linked,
            written=format_lsn(self.written),
            flushed=format_lsn(self.flushed) if self.linked else None,
            peer=None if self.linked else Peer(answers=False),
            witness=None if self.linked else True,
        )

    def act(self, action: Action | None) -> None:
        if action is None:
            return
        if action.name == "enforce":
            self.setting, self.begun = OURS, True
        elif action.name == "declare":
            self.word = True
        elif action.name == "release":
            self.word, self.setting, self.begun, self.counts_from = False, NONE, False, None

    def befall(self, event: str) -> None:
        if event in ("cut", "heal"):
            self.linked = event == "heal"
        elif event in ("busy", "idle"):
            self.busy = event == "busy"
        elif event in ("slow", "quick"):
            self.slow = event == "slow"
        elif event == "restart":
            self.memory, self.begun, self.counts_from = Memory(), False, None
        elif event == "freeze":
            self.at += 60.0


@settings(max_examples=400, deadline=None)
@given(
    config=st.sampled_from([OFF, PREFERRED, REQUIRED]),
    events=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 15)), max_size=25),
)
def test_the_word_is_never_a_lie(config: AgentConfig, events: list[tuple[str, int]]) -> None:
    """While it says that commits are protected, everything that was acknowledged has arrived."""
    pair = Pair(config)
    for event, seconds in [*events, ("heal", 0), ("quick", 0), ("idle", 8)]:
        pair.befall(event)
        for _second in range(seconds):
            pair.second()
            assert not pair.word or pair.acknowledged <= pair.flushed, pair
            pair.memory, action = decide(config, pair.memory, pair.look())
            pair.act(action)
            assert not pair.word or pair.acknowledged <= pair.flushed, pair
    assert pair.word is (config is not OFF), "in the end the secondary is there, and so is the protection"
