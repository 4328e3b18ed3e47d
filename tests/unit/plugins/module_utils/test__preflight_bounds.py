# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the checks of an assembly end: what is still allowed, and what only looks like a fault."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._preflight import membership_refusals, refusals, restarts
from ansible_collections.duet.backup_ha.tests.unit.plugins.servers import (
    GIB,
    MACS,
    SETTINGS,
    WANTED,
    blank,
    finding,
    full,
    own,
    postgresql,
    server,
    standby,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import ENDPOINT, OTHER_SYSTEM

MIB = 2**20


@pytest.mark.parametrize(
    ("offset", "error", "allowed"),
    [
        (1.0, 0.0, True),
        (1.01, 0.0, False),
        (1.2, 0.25, True),
        (1.2, 0.15, False),
        (-1.0, 0.0, True),
        (-1.01, 0.0, False),
    ],
)
def test_clocks_may_differ_by_a_second_and_what_the_measurement_can_be_wrong(
    offset: float, error: float, allowed: bool
) -> None:
    primary = replace(full(), clock_offset_s=0.0, clock_error_s=0.0)
    secondary = replace(blank(), clock_offset_s=offset, clock_error_s=error)
    assert (refusals(primary, secondary, WANTED) == []) is allowed


def test_the_errors_of_both_measurements_count() -> None:
    primary = replace(full(), clock_offset_s=-0.6, clock_error_s=0.15)
    assert refusals(primary, replace(blank(), clock_offset_s=0.6, clock_error_s=0.1), WANTED) == []


def test_the_operator_may_allow_a_larger_difference() -> None:
    wanted = replace(WANTED, maximum_clock_difference_s=10.0)
    assert refusals(full(), replace(blank(), clock_offset_s=5.0), wanted) == []


@pytest.mark.parametrize(("spare", "allowed"), [(0, True), (-1, False)])
def test_the_copy_needs_its_size_and_a_margin(spare: int, allowed: bool) -> None:
    secondary = blank()
    secondary.found["postgresql"]["free_bytes"] = int(GIB * 1.05) + 256 * MIB + spare
    assert (refusals(full(), secondary, WANTED) == []) is allowed


def test_a_standing_secondary_needs_no_space_for_a_copy() -> None:
    secondary = standby()
    secondary.found["postgresql"]["free_bytes"] = 0
    assert refusals(full(), secondary, WANTED) == []


def test_the_word_allows_to_erase_the_named_secondary_only() -> None:
    secondary = server("node2", postgresql(system=OTHER_SYSTEM))
    assert refusals(full(), secondary, replace(WANTED, erase_secondary="node2")) == []
    assert len(refusals(full(), secondary, replace(WANTED, erase_secondary="node1"))) == 1


def test_an_empty_postgresql_on_the_secondary_is_no_data() -> None:
    assert refusals(full(), server("node2", postgresql(data=False, system=OTHER_SYSTEM)), WANTED) == []


def test_the_endpoint_may_be_answered_by_the_cluster_s_own_primary() -> None:
    """Assembling again, the secondary hears the primary answer."""
    primary, secondary = full(), standby()
    primary.found["endpoint"]["held"] = True
    secondary.found["endpoint"]["answered_by"] = MACS["node1"]
    assert refusals(primary, secondary, WANTED) == []
    assert refusals(secondary, primary, WANTED) == []


def test_the_own_primary_may_take_the_endpoint_between_the_two_questions() -> None:
    """It boots just now: asked, it did not hold the address; probed by the other, it did."""
    primary, secondary = full(), standby()
    secondary.found["endpoint"]["answered_by"] = MACS["node1"]
    assert refusals(primary, secondary, WANTED) == []


def test_a_stranger_is_told_from_the_own_primary_that_holds_the_endpoint() -> None:
    primary, secondary = full(), standby()
    primary.found["endpoint"]["held"] = True
    secondary.found["endpoint"]["answered_by"] = "02:d0:c6:12:5e:0f"
    (reason,) = refusals(primary, secondary, WANTED)
    assert "already in use: 02:d0:c6:12:5e:0f" in reason


def test_without_a_name_for_the_endpoint_no_name_is_looked_up() -> None:
    secondary = blank()
    secondary.found.update(resolves={}, reverse={})
    assert refusals(full(), secondary, replace(WANTED, endpoint_name="")) == []


def test_a_name_with_more_than_one_address_is_enough() -> None:
    secondary = blank()
    secondary.found["resolves"]["backup.lab.test"] = [ENDPOINT, "2001:db8::10"]
    assert refusals(full(), secondary, WANTED) == []


@pytest.mark.parametrize(
    ("locale", "listed"),
    [
        ("C", "C"),
        ("C.UTF-8", "C.utf8"),
        ("POSIX", "POSIX"),
        ("en_US.UTF-8", "en_US.utf8"),
        ("de_DE.utf8", "de_DE.utf8"),
        ("de_DE.ISO-8859-1", "de_DE.iso88591"),
        ("de_DE.ISO8859-15", "de_DE.iso885915"),
        ("de_DE@euro", "de_DE@euro"),
    ],
)
def test_locales_are_the_same_however_their_code_set_is_written(locale: str, listed: str) -> None:
    """``locale -a`` prints the code set in lower case and without punctuation, databases keep what was asked for."""
    primary, secondary = full(), blank()
    primary.found["postgresql"]["server"]["databases"] = [{"name": "bacula", "collate": locale, "ctype": locale}]
    secondary.found["locales"] = ["C", "POSIX", listed]
    assert refusals(primary, secondary, WANTED) == []


@pytest.mark.parametrize("place", ["collate", "ctype"])
def test_both_categories_of_a_locale_must_be_there(place: str) -> None:
    primary = full()
    primary.found["postgresql"]["server"]["databases"][0][place] = "fr_FR.UTF-8"
    (sentence,) = refusals(primary, blank(), WANTED)
    assert "fr_FR.UTF-8" in sentence


def test_locales_differ_by_more_than_their_code_set() -> None:
    primary, secondary = full(), blank()
    primary.found["postgresql"]["server"]["databases"][0]["collate"] = "de_AT.UTF-8"
    secondary.found["locales"].append("de_DE.utf8")
    assert len(refusals(primary, secondary, WANTED)) == 1


def test_a_secondary_with_several_major_versions_has_the_primary_s() -> None:
    secondary = blank()
    secondary.found["postgresql"]["installed"] = ["15", "17"]
    assert refusals(full(), secondary, WANTED) == []


def test_the_version_that_runs_counts_and_not_the_newest_one() -> None:
    primary, secondary = full(), server("node2", postgresql(data=False, system=OTHER_SYSTEM))
    for host in (primary, secondary):
        host.found["postgresql"]["installed"] = ["15", "17"]
    assert refusals(primary, secondary, WANTED) == []
    secondary.found["postgresql"]["server"]["version"] = "17"
    assert len(refusals(primary, secondary, WANTED)) == 1


@pytest.mark.parametrize("lacking", [0, 1])
def test_each_server_needs_a_postgresql(lacking: int) -> None:
    servers = [blank("node1"), blank()]
    servers[lacking].found["postgresql"]["installed"] = []
    (sentence,) = refusals(servers[0], servers[1], WANTED)
    assert f"node{lacking + 1} has no PostgreSQL" in sentence


@pytest.mark.parametrize("what", ["glibc", "icu"])
@pytest.mark.parametrize("unknown", [0, 1])
def test_an_unknown_library_version_is_no_difference(what: str, unknown: int) -> None:
    """PostgreSQL may have been built without ICU."""
    servers = [full(), blank()]
    servers[unknown].found[what] = None
    assert refusals(servers[0], servers[1], WANTED) == []


def test_a_control_node_whose_clock_is_wrong_does_not_matter() -> None:
    assert refusals(replace(full(), clock_offset_s=300.0), replace(blank(), clock_offset_s=300.5), WANTED) == []


def test_data_without_a_readable_identity_is_data() -> None:
    (sentence,) = refusals(blank("node1"), server("node2", postgresql("stopped", system=None)), WANTED)
    assert "node2 holds databases of its own; a copy" in sentence


def test_two_blank_servers_need_space_as_well() -> None:
    secondary = blank()
    secondary.found["postgresql"]["free_bytes"] = 256 * MIB - 1
    (sentence,) = refusals(blank("node1"), secondary, WANTED)
    assert "256.0 MiB are needed" in sentence


def test_a_server_without_any_subnet_is_told_so() -> None:
    secondary = blank()
    secondary.found.update(interfaces=[], endpoint={"interface": None, "held": False, "answered_by": None})
    (sentence,) = refusals(full(), secondary, WANTED)
    assert "outside the subnets of node2 (none)" in sentence


@pytest.mark.parametrize(("mode", "allowed"), [(0o640, True), (0o600, True), (0o641, False), (0o602, False)])
def test_group_members_may_read_passwords_others_may_not(mode: int, allowed: bool) -> None:
    secondary = blank()
    secondary.found["secret_files"] = {"/etc/bacula/bacula-dir.conf": mode}
    assert (refusals(full(), secondary, WANTED) == []) is allowed


def test_all_addresses_may_be_of_the_sixth_family() -> None:
    wanted = replace(WANTED, endpoint_address="2001:db8::10", endpoint_name="")
    primary, secondary = replace(full(), address="2001:db8::11"), replace(blank(), address="2001:db8::12")
    assert refusals(primary, secondary, wanted) == []


def test_different_families_are_told_for_each_node() -> None:
    wanted = replace(WANTED, endpoint_address="2001:db8::10", endpoint_name="")
    primary, secondary = full(), blank()
    for host in (primary, secondary):
        host.found["endpoint"]["interface"] = None  # neither can have a subnet for it
    first, second = refusals(primary, secondary, wanted)
    assert "node1 has the IPv4" in first and "node2 has the IPv4" in second


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        (["node1"], ["'duet'", "has 1 hosts (node1)", "exactly two"]),
        (["node1", "node2", "node3"], ["'duet'", "has 3 hosts (node1, node2, node3)", "exactly two"]),
        ([], ["'duet'", "has 0 hosts (none)", "exactly two"]),
    ],
)
def test_a_cluster_has_two_members(hosts: list[str], words: list[str]) -> None:
    (sentence,) = membership_refusals("duet", hosts)
    assert [word for word in words if word not in sentence] == [], sentence


def test_two_members_are_a_cluster() -> None:
    assert membership_refusals("duet", ["node1", "node2"]) == []


@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_a_restart_is_announced_for_what_needs_one(setting: str) -> None:
    """A fresh Debian server listens on localhost and writes no hints."""
    needed = {"listen_addresses": "listen_addresses = *", "wal_log_hints": "wal_log_hints = on"}
    assert (needed.get(setting) in restarts(full())) == (setting in needed)


def test_no_restart_is_announced_where_nothing_changes() -> None:
    assert restarts(own(full(), restarts=[])) == []
    assert restarts(blank()) == []


def test_every_difference_is_told_at_once() -> None:
    other = finding(
        replace(blank(), clock_offset_s=9.0),
        glibc="2.41",
        resolves={},
        secret_files={"/etc/bacula/bacula-dir.conf": 0o604},
    )
    assert len(refusals(full(), other, WANTED)) == 4
