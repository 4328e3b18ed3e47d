# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of what was seen, once when it begins and once when it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._notice_decision import (
    AWAY_S,
    EXPIRY_S,
    Facts,
    Notice,
    Said,
    decide_notices,
)

NOW = 1795364819.0
MIB = 1024 * 1024
WELL = Facts(NOW, "node1", "node2", "primary", 3, True, "reserved", 0, 100 * MIB)
SECONDARY = Facts(NOW, "node1", "node2", "secondary", None, True)
PRIMARY = Said("primary", 3, NOW - 5000.0)


def say(said: Said, *looks: Facts) -> tuple[Said, list[Notice]]:
    """Everything that is said over some looks, each of which is also repeated and says nothing then."""
    heard: list[Notice] = []
    for facts in looks:
        said, notices = decide_notices(said, facts)
        heard += notices
        again, nothing = decide_notices(said, facts)
        assert nothing == [] and again == said, "the same look again says nothing"
    return said, heard


def kinds(heard: list[Notice]) -> list[str]:
    return [notice.kind for notice in heard]


def alone(after: float, **changes: Any) -> Facts:
    return replace(WELL, at=NOW + after, streams=False, **changes)


def test_the_first_look_only_remembers() -> None:
    assert say(Said(), WELL) == (Said("primary", 3, NOW), [])
    assert say(Said(), SECONDARY) == (Said("secondary", None, NOW), [])


def test_a_server_that_does_not_answer_has_the_role_that_it_had() -> None:
    assert say(PRIMARY, replace(WELL, role="none", timeline=None)) == (PRIMARY, [])


@pytest.mark.parametrize(
    ("said", "facts", "message"),
    [
        (Said("secondary"), WELL, "node1 is the primary now, on timeline 3."),
        (replace(PRIMARY, timeline=2), WELL, "node1 is the primary again, on timeline 3."),
        (PRIMARY, SECONDARY, "node1 is the secondary now."),
    ],
)
def test_a_role_changes(said: Said, facts: Facts, message: str) -> None:
    after, heard = say(said, facts)
    assert [(notice.kind, notice.message) for notice in heard] == [("role_changed", message)]
    assert (after.role, after.role_since) == (facts.role, NOW)


def test_a_role_that_stays_keeps_its_time() -> None:
    assert say(PRIMARY, WELL)[0].role_since == PRIMARY.role_since


def test_a_secondary_is_away_after_ten_minutes_and_then_it_may_be_back() -> None:
    said, heard = say(PRIMARY, alone(0), alone(AWAY_S - 1))
    assert heard == []
    said, heard = say(said, alone(AWAY_S), alone(AWAY_S + 10), replace(WELL, at=NOW + 3 * AWAY_S))
    assert kinds(heard) == ["secondary_away", "secondary_back"]
    assert "node2 has not streamed for 10 min" in heard[0].message
    assert heard[1].message == "node2 streams again, after 30 min." and heard[1].details["away_s"] == 1800
    assert said == PRIMARY


def test_one_that_was_away_for_less_is_not_spoken_of() -> None:
    assert say(PRIMARY, alone(0), replace(WELL, at=NOW + AWAY_S - 1), alone(AWAY_S), alone(2 * AWAY_S - 1))[1] == []


def test_hours_are_told_as_hours() -> None:
    heard = say(replace(PRIMARY, away_since=NOW - 9000), alone(0))[1]
    assert "for 2.5 h" in heard[0].message


def test_a_clock_that_was_set_back_begins_anew() -> None:
    said, heard = say(replace(PRIMARY, away_since=NOW + 9000), alone(0))
    assert heard == [] and said.away_since == NOW


def test_who_becomes_secondary_forgets_what_only_a_primary_has_to_say() -> None:
    said = replace(PRIMARY, away_since=NOW - 9000, away=True, wal="half", left_over="duet-7")
    after, heard = say(said, SECONDARY)
    assert kinds(heard) == ["role_changed"]
    assert after == Said("secondary", None, NOW)


def kept(megabytes: int | None, status: str = "extended") -> Facts:
    return replace(WELL, wal_status=status, kept_bytes=None if megabytes is None else megabytes * MIB)


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ([kept(50)], []),
        ([kept(51)], ["wal_half"]),
        ([kept(51), kept(90), kept(100)], ["wal_half"]),
        ([kept(51), kept(40), kept(60)], ["wal_half"]),
        ([kept(51), kept(20), kept(60)], ["wal_half", "wal_half"]),
        ([kept(51), kept(None, "lost")], ["wal_half", "wal_lost"]),
        ([kept(None, "lost"), kept(None, "lost")], ["wal_lost"]),
        ([kept(None, "lost"), kept(0, "reserved"), kept(None, "lost")], ["wal_lost", "wal_lost"]),
        ([kept(0, "unreserved")], ["wal_half"]),
        ([kept(0, "missing")], []),
        ([replace(kept(9000), cap_bytes=None)], []),
        ([replace(kept(90), wal_status=None)], []),
    ],
)
def test_kept_wal(looks: list[Facts], said: list[str]) -> None:
    assert kinds(say(PRIMARY, *looks)[1]) == said


def test_how_much_is_kept_is_said() -> None:
    message = say(PRIMARY, kept(51))[1][0].message
    assert message.startswith("node1 keeps 51.0 MiB of WAL for node2, more than half of the 100.0 MiB")


@pytest.mark.parametrize(
    ("days", "when"),
    [(31, None), (29.6, "expires in 30 days"), (1, "expires in 1 days"), (0.5, "expires today"), (-3, "has expired")],
)
@pytest.mark.parametrize("role", ["primary", "secondary", "none"])
def test_a_certificate(role: str, days: float, when: str | None) -> None:
    facts = replace(WELL, role=role, expiries={"certificate": NOW + days * 86400, "authority": NOW + 2 * EXPIRY_S})
    heard = say(Said(role if role != "none" else "", 3, NOW), facts)[1]
    assert [notice.message for notice in heard] == (
        [f"The certificate of node1 {when}. Run duet.backup_ha.certificates; with a new one, if it is one of your own."]
        if when
        else []
    )


def test_a_new_certificate_is_spoken_of_when_it_expires_in_turn() -> None:
    soon, later = {"certificate": NOW + 86400}, {"certificate": NOW + 2 * EXPIRY_S}
    looks = [replace(WELL, expiries=expiries) for expiries in (soon, later, soon)]
    assert kinds(say(PRIMARY, *looks)[1]) == ["certificate_expires", "certificate_expires"]


def test_an_operation_that_nobody_finishes() -> None:
    record = {"id": "duet-7", "kind": "switchover", "by": "root@control"}
    looks = [replace(WELL, left_over=found) for found in (record, {**record, "id": "duet-8"}, None, record)]
    heard = say(PRIMARY, *looks)[1]
    assert [notice.details["operation"] for notice in heard] == ["duet-7", "duet-8", "duet-7"]
    assert {notice.details["outcome"] for notice in heard} == {"interrupted"}
    assert heard[0].message == "The switchover that root@control began was interrupted. Run it again to finish it."
