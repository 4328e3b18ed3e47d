# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's data is what no word of the inventory was meant for, however old that word is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._preflight import Server, Wanted, database_of, refusals
from ansible_collections.duet.backup_ha.plugins.module_utils._primary_choice import choose_primary, may_erase
from ansible_collections.duet.backup_ha.tests.unit.plugins.servers import (
    WANTED,
    blank,
    finding,
    full,
    member,
    own,
    postgresql,
    server,
    standby,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import OTHER_SYSTEM, SYSTEM

NOBODY, ONE, OTHER = "", "node1", "node2"
WISHES = [
    replace(WANTED, initial_primary=initial, erase_secondary=erase)
    for initial, erase in product((NOBODY, ONE, OTHER), repeat=2)
]


def node(host: Server) -> Server:
    return finding(host, assembled=True)


def first_time(name: str) -> Server:
    """The primary of a first assembly that was interrupted: it has the cluster's database, and no units yet."""
    return finding(member(name), assembled=False)


def foreign(name: str) -> Server:
    return server(name, postgresql(system=OTHER_SYSTEM))


def stopped(name: str, system: str = SYSTEM) -> Server:
    return server(name, postgresql("stopped", system=system))


def waiting(name: str) -> Server:
    return member(name, "secondary")


def halted(name: str) -> Server:
    return member(name, "stopped")


def stranger(name: str) -> Server:
    """A member of another cluster."""
    return member(name, system=OTHER_SYSTEM)


# (node1, node2); node1 becomes the primary whatever the words say
KEPT = [
    pytest.param(member(ONE), blank(OTHER), id="the other machine is new"),
    pytest.param(member(ONE), node(blank(OTHER)), id="the other machine lost its data"),
    pytest.param(member(ONE), foreign(OTHER), id="the other machine is another backup server"),
    pytest.param(member(ONE), full(OTHER), id="the other machine comes from the same image"),
    pytest.param(member(ONE), halted(OTHER), id="the other one is stopped"),
    pytest.param(member(ONE), waiting(OTHER), id="the other one follows"),
    pytest.param(first_time(ONE), node(foreign(OTHER)), id="a first copy was interrupted"),
    pytest.param(first_time(ONE), node(full(OTHER)), id="a first copy over a clone was interrupted"),
]


@pytest.mark.parametrize(("one", "other"), KEPT)
@pytest.mark.parametrize("wanted", WISHES, ids=lambda wanted: f"{wanted.initial_primary}-{wanted.erase_secondary}")
def test_the_data_of_a_cluster_is_kept(one: Server, other: Server, wanted: Wanted) -> None:
    assert choose_primary([one, other], wanted) == (ONE, [])
    assert choose_primary([other, one], wanted) == (ONE, [])


RESUME = ["node1 holds the cluster's data and is read-only", "node2 has no copy", "backup-ha resume --alone on node1"]
START = ["node1 holds the cluster's data and does not run", "node2 has no copy", "Start PostgreSQL on node1"]
BOTH = ["node1 and node2 hold the data of different clusters", "pg_dropcluster"]

# (node1, node2, words of the one sentence), whatever the words in the inventory are
REFUSED = [
    pytest.param(waiting(ONE), blank(OTHER), RESUME, id="the only copy waits"),
    pytest.param(waiting(ONE), foreign(OTHER), RESUME, id="the only copy waits, and the other machine has data"),
    pytest.param(waiting(ONE), full(OTHER), RESUME, id="the only copy waits, and the new one is of the same image"),
    pytest.param(halted(ONE), blank(OTHER), START, id="the only copy is stopped"),
    pytest.param(halted(ONE), foreign(OTHER), START, id="the only copy is stopped, and the other machine has data"),
    pytest.param(
        own(halted(ONE), running=True, problem="psql: it is starting up."),
        blank(OTHER),
        ["node1 holds the cluster's data and can't be examined: psql: it is starting up, and node2 has no copy"],
        id="the only copy lets nobody in",
    ),
    pytest.param(member(ONE), stranger(OTHER), BOTH, id="members of two clusters"),
    pytest.param(first_time(ONE), first_time(OTHER), ["Both node1 and node2 accept writes"], id="two writers"),
]


@pytest.mark.parametrize(("one", "other", "words"), REFUSED)
@pytest.mark.parametrize("wanted", WISHES, ids=lambda wanted: f"{wanted.initial_primary}-{wanted.erase_secondary}")
def test_the_only_copy_is_not_given_up(one: Server, other: Server, words: list[str], wanted: Wanted) -> None:
    primary, (sentence,) = choose_primary([one, other], wanted)
    assert primary is None
    assert [word for word in words if word not in sentence] == [], sentence
    assert "backup_ha_erase_secondary:" not in sentence


KINDS: list[Callable[[str], Server]] = [
    *(blank, full, foreign, standby, stopped),
    *(member, first_time, waiting, halted, stranger),
]


def plans(wanted: Wanted) -> Iterator[tuple[Server, Server]]:
    """Every primary and secondary that an assembly would go on with."""
    for first, second in product(KINDS, repeat=2):
        pair = [first(ONE), second(OTHER)]
        primary, _reasons = choose_primary(pair, wanted)
        if primary:
            ours, theirs = sorted(pair, key=lambda host: host.name != primary)
            if not refusals(ours, theirs, wanted):
                yield ours, theirs


@pytest.mark.parametrize("wanted", WISHES, ids=lambda wanted: f"{wanted.initial_primary}-{wanted.erase_secondary}")
def test_a_copy_never_replaces_the_only_one(wanted: Wanted) -> None:
    for ours, theirs in plans(wanted):
        same = database_of(ours).get("system_identifier") == database_of(theirs).get("system_identifier")
        if database_of(theirs).get("member"):
            assert same and not may_erase(ours, theirs, wanted)
        elif database_of(theirs).get("holds_data") and not same:
            assert wanted.erase_secondary == theirs.name and may_erase(ours, theirs, wanted)


# (primary, secondary, whether the word for the secondary counts)
ERASABLE = [
    pytest.param(full(ONE), foreign(OTHER), True, id="data of its own"),
    pytest.param(blank(ONE), foreign(OTHER), True, id="data of its own, and a blank primary"),
    pytest.param(full(ONE), full(OTHER), True, id="a clone"),
    pytest.param(first_time(ONE), node(foreign(OTHER)), True, id="a first copy was interrupted"),
    pytest.param(blank(ONE), member(OTHER), False, id="the only copy of the cluster's data"),
    pytest.param(foreign(ONE), halted(OTHER), False, id="the only copy, stopped"),
    pytest.param(member(ONE), halted(OTHER), False, id="a copy of the cluster's data"),
    pytest.param(full(ONE), node(stopped(OTHER)), False, id="the first copy, which does not run yet"),
]


@pytest.mark.parametrize(("primary", "secondary", "erasable"), ERASABLE)
def test_what_the_word_erases(primary: Server, secondary: Server, erasable: bool) -> None:
    assert may_erase(primary, secondary, replace(WANTED, erase_secondary=OTHER)) is erasable
    assert not may_erase(primary, secondary, replace(WANTED, erase_secondary=ONE))
    assert not may_erase(primary, secondary, WANTED)
