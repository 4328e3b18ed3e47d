"""An assembly that cannot work is refused in a sentence, before it has changed anything on either server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.support import NODES, PEER, Lab

HOSTS = "/etc/hosts"
OLD_MAJOR = "13"


@pytest.fixture(autouse=True)
def still_blank(blank: Lab) -> None:
    """An assembly that was not refused must not fail the next test, too."""
    changed = [node for node in NODES if blank.sh(node, "ls -d /etc/backup-ha", check=False)]
    if changed:
        blank.reset(*changed)


def refused(lab: Lab, *words: str, options: tuple[str, ...] = (), inventory: Path | None = None) -> None:
    """Assemble, and prove that this was refused with these words, and that nothing has changed."""
    with lab.unchanged():
        outcome = lab.play("assemble", *options, inventory=inventory)
    assert outcome.code != 0, outcome
    for word in words:
        assert word in outcome.said, outcome
    assert outcome.output.count("fatal: ") <= 2 * len(NODES), outcome  # what was found, and the outcome
    for noise in ("Traceback", "MODULE FAILURE", "is undefined", "has no attribute"):
        assert noise not in outcome.output, outcome
    assert sum(outcome.changed.values()) == 0, outcome


def test_blank_servers_are_unassembled(lab: Lab) -> None:
    status = lab.play("status")
    assert status.verdict == "unassembled" and status.code != 0, status
    assert "Next: ansible-playbook duet.backup_ha.assemble" in status.said, status


def test_a_rehearsal_on_blank_servers_changes_nothing(lab: Lab) -> None:
    with lab.unchanged():
        outcome = lab.play("assemble", "--check").check()
    assert "node1 is the primary, node2 the secondary" in outcome.said, outcome


def test_a_switchover_needs_a_cluster(lab: Lab) -> None:
    with lab.unchanged():
        outcome = lab.play("switchover")
    assert outcome.code != 0 and "node1 is no node of a cluster yet" in outcome.said, outcome


def group_of(*hosts: str) -> Callable[[dict[str, Any]], None]:
    """A change of the inventory: the cluster's group has these hosts."""

    def change(document: dict[str, Any]) -> None:
        group = document["backup_ha"]["children"]["duet"]
        known = group["hosts"] | document["repositories"]["hosts"]
        group["hosts"] = {host: known[host] for host in hosts}

    return change


@pytest.mark.parametrize("hosts", [("node1",), ("node1", "node2", "repository")], ids=["one", "three"])
@pytest.mark.parametrize("operation", ["assemble", "status", "switchover"])
def test_a_group_of_another_size(lab: Lab, hosts: tuple[str, ...], operation: str) -> None:
    inventory = lab.write_inventory(f"group-of-{len(hosts)}", group_of(*hosts))
    with lab.unchanged():
        outcome = lab.play(operation, inventory=inventory)
    assert outcome.code != 0, outcome
    sentence = f"The cluster group 'duet' has {len(hosts)} hosts ({', '.join(hosts)}); it needs exactly two."
    assert sentence.replace("has 1 hosts", "has 1 host") in outcome.said.replace("has 1 hosts", "has 1 host"), outcome


@pytest.mark.parametrize("operation", ["assemble", "status"])
def test_a_cluster_that_is_not_in_the_inventory(lab: Lab, operation: str) -> None:
    with lab.unchanged():
        outcome = lab.play(operation, "-e", "backup_ha_cluster=duett")
    assert outcome.code != 0, outcome
    sentence = "No host is in a group duett of the inventory; its groups with hosts are: duet, repositories."
    assert sentence in outcome.output, outcome


@dataclass(frozen=True)
class Case:
    """What is wrong, how it is made on which server, what undoes it, what is passed, and what must be said."""

    words: tuple[str, ...]
    host: str = "node2"
    fault: str = "true"
    mend: str = "true"
    options: dict[str, str] = field(default_factory=dict)


# {endpoint}, {node1} … stand for addresses of the lab.
CASES = {
    "endpoint outside the subnet": Case(
        ("The endpoint 198.51.100.10 is outside the subnets of node1", "choose a free address inside a subnet"),
        options={"endpoint_address": "198.51.100.10", "endpoint_name": ""},
    ),
    "endpoint is a node's address": Case(
        ("The endpoint {node1} is node1's own address",),
        options={"endpoint_address": "{node1}", "endpoint_name": ""},
    ),
    "endpoint of another family": Case(
        ("The endpoint fd00::10 is an IPv6 address", "node1 has the IPv4 address {node1}", "must be of one family"),
        options={"endpoint_address": "fd00::10", "endpoint_name": ""},
    ),
    "endpoint is no address": Case(
        ("'backup.lab.test' does not appear to be an IPv4 or IPv6 address; write addresses as numbers",),
        options={"endpoint_address": "backup.lab.test", "endpoint_name": ""},
    ),
    "endpoint in use": Case(
        ("The endpoint {endpoint} is already in use", "answers for it on node1's interface eth0"),
        host="repository",
        fault="ip address add {endpoint}/24 dev eth0",
        mend="ip address del {endpoint}/24 dev eth0",
    ),
    "name leads nowhere": Case(
        ("On node2 the name backup.lab.test leads to no address instead of {endpoint}", "Correct the DNS entry"),
        fault="cp -p {hosts} /tmp/hosts; sed '/backup/d' /tmp/hosts > {hosts}",
        mend="cp -p /tmp/hosts {hosts}",
    ),
    "name leads elsewhere": Case(
        ("On node2 the name backup.lab.test leads to 198.51.100.7 instead of {endpoint}",),
        fault="cp -p {hosts} /tmp/hosts; sed '/backup/s/^[^ ]*/198.51.100.7/' /tmp/hosts > {hosts}",
        mend="cp -p /tmp/hosts {hosts}",
    ),
    "address leads back to another name": Case(
        ("On node2 the address {endpoint} leads back to", "instead of backup.lab.test", "Correct the reverse DNS"),
        fault="cp -p {hosts} /tmp/hosts; sed 's/^\\([^ ]*\\) backup.*/\\1 other.lab.test\\n&/' /tmp/hosts > {hosts}",
        mend="cp -p /tmp/hosts {hosts}",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(lab: Lab, name: str) -> None:
    case = CASES[name]

    def fill(text: str) -> str:
        return text.format(endpoint=lab.endpoint, hosts=HOSTS, **{node: lab.address(node) for node in NODES})

    options = [f"backup_ha_{key}={fill(value)}" for key, value in case.options.items()]
    lab.sh(case.host, fill(case.fault))
    try:
        refused(lab, *map(fill, case.words), options=tuple(word for option in options for word in ("-e", option)))
    finally:
        lab.sh(case.host, fill(case.mend))


def test_a_clock_that_is_five_seconds_off(lab: Lab) -> None:
    """A container's clock is the machine's. What is asked for the time is the command `date`, so that one lies."""
    lab.sh("node2", "apt-get install --quiet --yes --no-download faketime")
    wrapper = '#!/bin/sh\\nexec faketime -f +5s /bin/date "$@"\\n'
    lab.sh("node2", f"printf '{wrapper}' > /usr/local/bin/date; chmod 755 /usr/local/bin/date")
    try:
        refused(lab, "The clocks of node1 and node2 differ by 5.", "1 s are allowed. Synchronise them")
    finally:
        lab.sh("node2", "rm /usr/local/bin/date")


@pytest.mark.parametrize("node", NODES)
def test_a_full_disk(lab: Lab, node: str) -> None:
    lab.fill_disk(node, "/var/lib/postgresql")
    try:
        refused(lab, f"{node} has 50.0 MiB free under /var/lib/postgresql", "are needed", "Free or add space")
    finally:
        lab.reset(node)


def test_different_major_versions(lab: Lab) -> None:
    """node2 gets a real PostgreSQL of an older release of the distribution, and a running cluster of it."""
    source = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bullseye main"
    only = "-o Dir::Etc::sourcelist=/etc/apt/sources.list.d/old.list -o Dir::Etc::sourceparts=/dev/null"
    lab.sh("node2", f"echo '{source}' > /etc/apt/sources.list.d/old.list")
    if lab.fails("node2", f"apt-get -qq update {only} -o APT::Get::List-Cleanup=0"):
        lab.reset("node2")
        pytest.skip("the package mirror has no bullseye any more")
    lab.sh(
        "node2", f"DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends postgresql-{OLD_MAJOR}"
    )
    lab.sh("node2", f"systemctl start postgresql@{OLD_MAJOR}-main")
    try:
        refused(
            lab,
            f"node2 has PostgreSQL {OLD_MAJOR}, node1 has PostgreSQL 15; the major versions must be the same",
            "Install postgresql-15 on node2",
        )
    finally:
        lab.reset("node2")


def make_data(lab: Lab, node: str) -> str:
    """A PostgreSQL with somebody's database on a node; returns the data directory's identity."""
    lab.sh(node, "pg_createcluster 15 main --start")
    lab.sql(node, "CREATE DATABASE precious")
    lab.sql(node, "CREATE TABLE deeds AS SELECT 1 AS number", "precious")
    return identity(lab, node)


def identity(lab: Lab, node: str) -> str:
    return lab.sql(node, "SELECT system_identifier FROM pg_control_system()")


def test_two_servers_with_data(lab: Lab) -> None:
    for node in NODES:
        make_data(lab, node)
    try:
        refused(lab, "Both node1 and node2 hold databases", "backup_ha_erase_secondary")
    finally:
        lab.reset(*NODES)


def test_a_secondary_with_data_is_erased_only_with_the_word_for_it(lab: Lab) -> None:
    before = make_data(lab, "node2")
    chosen = ("-e", "backup_ha_initial_primary=node1")
    refused(lab, "node2 holds the databases", "backup_ha_erase_secondary: node2", options=chosen)
    # The word names another host.
    refused(lab, "node2 holds", options=(*chosen, "-e", "backup_ha_erase_secondary=node1"))
    assert identity(lab, "node2") == before
    lab.play("assemble", *chosen, "-e", "backup_ha_erase_secondary=node2").check()
    assert lab.writers() == ["node1"]
    assert identity(lab, "node2") == identity(lab, PEER["node2"]) != before
    assert "precious" not in lab.sql("node2", "SELECT datname FROM pg_database")
    assert lab.play("status").verdict == "healthy"
    lab.reset(*NODES)
