# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server becomes the primary: data is kept, a standing cluster keeps its roles, and words count only at first."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._preflight import Server
from ansible_collections.duet.backup_ha.plugins.module_utils._primary_choice import choose_primary
from ansible_collections.duet.backup_ha.tests.unit.plugins.servers import (
    WANTED,
    blank,
    full,
    postgresql,
    server,
    standby,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import OTHER_SYSTEM, SYSTEM

NOBODY, ONE, OTHER = "", "node1", "node2"


def node(host: Server) -> Server:
    """The same server as a member of a cluster."""
    return replace(host, found={**host.found, "assembled": True})


def foreign(name: str) -> Server:
    return server(name, postgresql(system=OTHER_SYSTEM))


def empty(name: str) -> Server:
    """PostgreSQL as its package creates it: it runs, and nobody made anything in it."""
    return server(name, postgresql(data=False, system=OTHER_SYSTEM))


def stopped(name: str, system: str = SYSTEM) -> Server:
    return server(name, postgresql("stopped", system=system))


# (node1, node2, initial_primary, erase_secondary, who becomes primary)
CHOSEN = [
    pytest.param(blank(ONE), blank(OTHER), NOBODY, NOBODY, ONE, id="two blank ones: the first"),
    pytest.param(blank(ONE), blank(OTHER), OTHER, NOBODY, OTHER, id="two blank ones: the inventory's word"),
    pytest.param(blank(ONE), blank(OTHER), NOBODY, ONE, OTHER, id="what may be erased is not the primary"),
    pytest.param(empty(ONE), blank(OTHER), NOBODY, NOBODY, ONE, id="an empty PostgreSQL counts as blank"),
    pytest.param(empty(ONE), blank(OTHER), OTHER, NOBODY, OTHER, id="an empty PostgreSQL does not outvote the word"),
    pytest.param(full(ONE), blank(OTHER), NOBODY, NOBODY, ONE, id="data is kept"),
    pytest.param(blank(ONE), full(OTHER), NOBODY, NOBODY, OTHER, id="data is kept on the second server too"),
    pytest.param(blank(ONE), full(OTHER), OTHER, NOBODY, OTHER, id="data and word agree"),
    pytest.param(full(ONE), foreign(OTHER), NOBODY, OTHER, ONE, id="the other one's data may be erased"),
    pytest.param(full(ONE), foreign(OTHER), NOBODY, ONE, OTHER, id="the first one's data may be erased"),
    pytest.param(node(full(ONE)), node(foreign(OTHER)), NOBODY, OTHER, ONE, id="nodes that were never paired"),
    pytest.param(node(blank(ONE)), node(blank(OTHER)), NOBODY, NOBODY, ONE, id="nodes that lost their PostgreSQL"),
    pytest.param(full(ONE), blank(OTHER), OTHER, ONE, OTHER, id="the only data may be erased, by word"),
    pytest.param(node(full(ONE)), node(standby(OTHER)), NOBODY, NOBODY, ONE, id="a standing cluster"),
    pytest.param(node(standby(ONE)), node(full(OTHER)), NOBODY, NOBODY, OTHER, id="after a switchover"),
    pytest.param(
        node(standby(ONE)), node(full(OTHER)), ONE, NOBODY, OTHER, id="after a switchover the first primary is history"
    ),
    pytest.param(
        node(standby(ONE)), node(full(OTHER)), NOBODY, OTHER, OTHER, id="after a switchover nothing is erased any more"
    ),
    pytest.param(node(standby(ONE)), node(full(OTHER)), ONE, OTHER, OTHER, id="after a switchover neither word counts"),
    pytest.param(full(ONE), node(stopped(OTHER)), NOBODY, NOBODY, ONE, id="the first copy does not run yet"),
    pytest.param(full(ONE), node(standby(OTHER)), NOBODY, OTHER, ONE, id="the first copy runs"),
    pytest.param(full(ONE), node(full(OTHER)), NOBODY, OTHER, ONE, id="a clone of the first machine may be erased"),
    pytest.param(node(full(ONE)), node(stopped(OTHER)), NOBODY, NOBODY, ONE, id="the secondary is stopped"),
    pytest.param(
        node(full(ONE)), node(stopped(OTHER)), NOBODY, ONE, ONE, id="the secondary is stopped, and a word is left"
    ),
]


@pytest.mark.parametrize(("one", "other", "initial", "erase", "primary"), CHOSEN)
def test_chosen(one: Server, other: Server, initial: str, erase: str, primary: str) -> None:
    wanted = replace(WANTED, initial_primary=initial, erase_secondary=erase)
    assert choose_primary([one, other], wanted) == (primary, [])


# (node1, node2, initial_primary, erase_secondary, words of the one sentence)
REFUSED = [
    pytest.param(
        full(ONE),
        foreign(OTHER),
        NOBODY,
        NOBODY,
        ["Both node1 and node2 hold databases", "backup_ha_erase_secondary"],
        id="two servers with data of their own",
    ),
    pytest.param(
        full(ONE),
        blank(OTHER),
        OTHER,
        NOBODY,
        ["backup_ha_initial_primary names node2", "node1 holds the databases", "backup_ha_erase_secondary: node1"],
        id="the word contradicts the data",
    ),
    pytest.param(
        blank(ONE),
        blank(OTHER),
        "node3",
        NOBODY,
        ["backup_ha_initial_primary names node3", "not one of node1 and node2"],
        id="a stranger as first primary",
    ),
    pytest.param(
        full(ONE),
        foreign(OTHER),
        NOBODY,
        "nodeX",
        ["backup_ha_erase_secondary names nodeX", "not one of node1 and node2"],
        id="a stranger to be erased",
    ),
    pytest.param(
        full(ONE), node(full(OTHER)), NOBODY, NOBODY, ["Both node1 and node2 hold databases"], id="clones, and no word"
    ),
    pytest.param(
        node(full(ONE)),
        node(full(OTHER)),
        NOBODY,
        NOBODY,
        ["Both node1 and node2 accept writes"],
        id="two writers of one system",
    ),
    pytest.param(
        node(full(ONE)),
        node(full(OTHER)),
        NOBODY,
        OTHER,
        ["Both node1 and node2 accept writes"],
        id="a split is not erased away",
    ),
    pytest.param(
        node(standby(ONE)),
        node(standby(OTHER)),
        NOBODY,
        NOBODY,
        ["neither accepts writes", "node1 is a standby, node2 is a standby", "Start or resume"],
        id="two standbys of one system",
    ),
    pytest.param(
        node(stopped(ONE)),
        node(standby(OTHER)),
        ONE,
        NOBODY,
        ["neither accepts writes", "node1 is stopped, node2 is a standby", "Start or resume"],
        id="a stopped node and a standby",
    ),
    pytest.param(
        standby(ONE), blank(OTHER), ONE, NOBODY, ["node1 is a standby"], id="somebody else's standby as first primary"
    ),
    pytest.param(
        standby(ONE, OTHER_SYSTEM), standby(OTHER), NOBODY, NOBODY, ["standby"], id="two standbys of other primaries"
    ),
    pytest.param(
        standby(ONE), blank(OTHER), NOBODY, OTHER, ["node1 is a standby"], id="a standby and one that may be erased"
    ),
]


@pytest.mark.parametrize(("one", "other", "initial", "erase", "words"), REFUSED)
def test_refused(one: Server, other: Server, initial: str, erase: str, words: list[str]) -> None:
    primary, (sentence,) = choose_primary([one, other], replace(WANTED, initial_primary=initial, erase_secondary=erase))
    assert primary is None
    assert [word for word in words if word not in sentence] == [], sentence


KINDS = [blank, empty, full, foreign, standby, stopped]


@pytest.mark.parametrize(("initial", "erase"), list(product((NOBODY, ONE, OTHER), repeat=2)))
def test_there_is_always_an_answer_and_it_is_one_or_the_other(initial: str, erase: str) -> None:
    wanted = replace(WANTED, initial_primary=initial, erase_secondary=erase)
    for first, second in product(KINDS, repeat=2):
        primary, reasons = choose_primary([first(ONE), second(OTHER)], wanted)
        assert (primary in (ONE, OTHER)) == (reasons == [])


@pytest.mark.parametrize(("initial", "erase"), list(product((NOBODY, ONE, OTHER), repeat=2)))
def test_data_is_never_given_up_without_a_word(initial: str, erase: str) -> None:
    wanted = replace(WANTED, initial_primary=initial, erase_secondary=erase)
    for first, second in product(KINDS, repeat=2):
        one, other = first(ONE), second(OTHER)
        primary, _reasons = choose_primary([one, other], wanted)
        loser = {ONE: other, OTHER: one}.get(primary or "")
        database = (loser and loser.found["postgresql"]["server"]) or {}
        if loser and database.get("holds_data") and database["role"] != "secondary":
            assert erase == loser.name


def test_a_standby_never_becomes_the_primary() -> None:
    for first, second in product(KINDS, repeat=2):
        for initial, erase in product((NOBODY, ONE, OTHER), repeat=2):
            wanted = replace(WANTED, initial_primary=initial, erase_secondary=erase)
            servers = {ONE: first(ONE), OTHER: second(OTHER)}
            primary, _reasons = choose_primary(list(servers.values()), wanted)
            if primary:
                assert (servers[primary].found["postgresql"]["server"] or {}).get("role") != "secondary"


def test_clones_of_one_template_are_not_taken_for_a_cluster() -> None:
    """They have one system identifier and were never paired: the inventory's word decides, as for any two servers."""
    assert choose_primary([full(ONE), full(OTHER)], replace(WANTED, erase_secondary=OTHER)) == (ONE, [])
    assert choose_primary([full(ONE), stopped(OTHER)], replace(WANTED, erase_secondary=ONE)) == (OTHER, [])
