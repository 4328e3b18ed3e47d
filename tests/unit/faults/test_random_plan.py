# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The events of a random run come from its seed alone, and are such as the lab can do."""

from __future__ import annotations

import pytest

from tests.faults.random_acts import _BEGIN, _END
from tests.faults.random_plan import COMMANDS, DETAILS, FAULTS, Event, Round, plan, steps

SEEDS = range(60)
ROUNDS = 40


def every() -> list[Round]:
    return [wanted for seed in SEEDS for wanted in plan(seed, ROUNDS)]


def test_the_same_seed_gives_the_same_events() -> None:
    assert all(plan(seed, ROUNDS) == plan(seed, ROUNDS) for seed in SEEDS)
    assert len({tuple(plan(seed, 5)) for seed in SEEDS}) == len(SEEDS)


def test_a_longer_run_begins_with_the_shorter_one() -> None:
    assert plan(7, 10) == plan(7, ROUNDS)[:10]
    assert [wanted.number for wanted in plan(7, 10)] == list(range(1, 11))


def test_a_seed_stays_what_it_was() -> None:
    """A finding is named by its seed: whoever changes this changes what earlier seeds mean."""
    assert plan(203, 1) == [Round(1, False, (Event(7.5, "kill_backends", "primary"),))]


def test_everything_happens_somewhere() -> None:
    events = [event for wanted in every() for event in wanted.events]
    assert {event.what for event in events} == {*FAULTS, "run"}
    for what, details in DETAILS.items():
        assert {event.detail for event in events if event.what == what} == set(details)
    commands = {event.detail.split()[0] for event in events if event.what == "run"}
    assert commands == set(COMMANDS) - {""}
    assert any(event.what == "run" and event.lasts for event in events), "no command is ever killed"


def test_every_event_can_be_done() -> None:
    for wanted in every():
        assert wanted.events, wanted
        for event in wanted.events:
            assert 0 <= event.at < 40 and 0 <= event.lasts < 30, event
            assert event.what == "run" or event.what in _BEGIN, event
            assert event.what == "run" or not event.lasts or event.what in _END, event
            assert event.who or not event.detail.startswith("@"), event
            assert event.who or "failover" not in event.detail, event


def test_an_end_comes_after_its_beginning() -> None:
    freeze, play = Event(1.0, "pause", "primary", 2.5), Event(2.0, "run", "", 3.0, "rejoin")
    here, never = Event(0.5, "run", "secondary", 1.0, "@rejoin"), Event(4.0, "run", "", 0.0, "status")
    assert steps((freeze, play, here, never)) == [
        (0.5, False, here),  # the node's own `timeout` ends this one
        (1.0, False, freeze),
        (2.0, False, play),
        (3.5, True, freeze),
        (4.0, False, never),
        (5.0, True, play),
    ]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event(1.0, "cut", "primary", 2.0, "clients"), "cut clients primary (2.0 s)"),
        (Event(1.0, "run", "secondary", 0.0, "failover 0"), "run failover 0 secondary"),
    ],
)
def test_an_event_says_what_it_is(event: Event, words: str) -> None:
    assert str(event) == words
