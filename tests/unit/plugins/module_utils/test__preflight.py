# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why two servers must not be paired: one difference each, and a sentence that names server, finding and need."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._preflight import Server, Wanted, refusals
from ansible_collections.duet.backup_ha.tests.unit.plugins.servers import (
    ENDPOINT_NAME,
    GIB,
    WANTED,
    blank,
    database,
    finding,
    full,
    own,
    postgresql,
    server,
    standby,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import ENDPOINT, OTHER_SYSTEM

Pair = tuple[Server, Server]
NOWHERE = {"interface": None, "prefix": None, "held": False, "answered_by": None}
PASSWORDS = "/etc/bacula/bacula-dir.conf"


def with_locale(name: str) -> Server:
    return own(full(), databases=[{"name": "bacula", "collate": name, "ctype": "C.UTF-8"}])


def in_use(host: Server) -> Server:
    return finding(host, endpoint={**host.found["endpoint"], "answered_by": "02:d0:c6:12:5e:0c"})


# (primary, secondary, what is wanted, words of the one sentence)
REFUSALS = [
    pytest.param(
        full(),
        finding(blank(), architecture="aarch64"),
        WANTED,
        ["node2 has the architecture aarch64", "node1 has x86_64", "must be the same"],
        id="architecture",
    ),
    pytest.param(
        full(),
        finding(blank(), glibc="2.41"),
        WANTED,
        ["node2 has the glibc version 2.41", "node1 has 2.36", "must be the same"],
        id="glibc",
    ),
    pytest.param(
        full(),
        finding(blank(), icu="76.1"),
        WANTED,
        ["node2 has the ICU version 76.1", "node1 has 72.1", "must be the same"],
        id="ICU",
    ),
    pytest.param(
        full(),
        database(blank(), half_made=["/etc/postgresql/15/main"]),
        WANTED,
        ["On node2, /etc/postgresql/15/main", "no postgresql.conf", "mv /etc/postgresql/15/main"],
        id="half made",
    ),
    pytest.param(
        full(),
        database(blank(), installed=["17"]),
        WANTED,
        ["node2 has PostgreSQL 17", "node1 has PostgreSQL 15", "Install postgresql-15 on node2"],
        id="major version installed",
    ),
    pytest.param(
        full(),
        database(blank(), installed=[], available="17"),
        WANTED,
        ["node2 has PostgreSQL 17", "node1 has PostgreSQL 15", "Install postgresql-15 on node2"],
        id="major version to be installed",
    ),
    pytest.param(
        full(),
        database(blank(), installed=[], available=None),
        WANTED,
        ["node2 has no PostgreSQL", "package sources offer none", "add package sources"],
        id="no PostgreSQL to install",
    ),
    pytest.param(
        full(),
        replace(blank(), clock_offset_s=5.0),
        WANTED,
        ["clocks of node1 and node2 differ by 5.0 s", "1 s are allowed", "Synchronise them"],
        id="clock 5 s ahead",
    ),
    pytest.param(
        full(),
        replace(blank(), clock_offset_s=-5.0),
        WANTED,
        ["clocks of node1 and node2 differ by 5.0 s", "1 s are allowed", "Synchronise them"],
        id="clock 5 s behind",
    ),
    pytest.param(
        full(),
        blank(),
        replace(WANTED, endpoint_address="backup.lab.test", endpoint_name=""),
        ["backup.lab.test", "write addresses as numbers"],
        id="endpoint is no number",
    ),
    pytest.param(
        full(),
        replace(blank(), address="node2.lab.test"),
        WANTED,
        ["node2.lab.test", "write addresses as numbers"],
        id="node address is no number",
    ),
    pytest.param(
        full(),
        replace(blank(), address="2001:db8::12"),
        WANTED,
        [f"endpoint {ENDPOINT} is an IPv4", "node2 has the IPv6 address 2001:db8::12", "of one family"],
        id="node of another family",
    ),
    pytest.param(
        full(),
        replace(blank(), address=ENDPOINT),
        WANTED,
        [f"endpoint {ENDPOINT} is node2's own address", "an address of its own"],
        id="endpoint is a node's address",
    ),
    pytest.param(
        full(),
        replace(blank(), address="198.18.0.11"),
        WANTED,
        ["node1 and node2 have the same address 198.18.0.11"],
        id="one address for both",
    ),
    pytest.param(
        full(),
        finding(blank(), endpoint=NOWHERE),
        WANTED,
        [f"endpoint {ENDPOINT} is outside the subnets of node2", "198.18.0.0/24", "both servers share"],
        id="endpoint outside the subnet",
    ),
    pytest.param(
        full(),
        in_use(blank()),
        WANTED,
        [f"endpoint {ENDPOINT} is already in use", "02:d0:c6:12:5e:0c answers", "node2's", "eth0", "free address"],
        id="endpoint in use",
    ),
    pytest.param(
        full(),
        finding(blank(), resolves={ENDPOINT_NAME: []}),
        WANTED,
        ["On node2", f"{ENDPOINT_NAME} leads to no address", f"instead of {ENDPOINT}", "/etc/hosts"],
        id="name does not resolve",
    ),
    pytest.param(
        full(),
        finding(blank(), resolves={ENDPOINT_NAME: ["198.18.0.99"]}),
        WANTED,
        ["On node2", "leads to 198.18.0.99", f"instead of {ENDPOINT}", "/etc/hosts"],
        id="name leads elsewhere",
    ),
    pytest.param(
        full(),
        finding(blank(), reverse={ENDPOINT: []}),
        WANTED,
        ["On node2", f"{ENDPOINT} leads back to no name", f"instead of {ENDPOINT_NAME}", "reverse DNS"],
        id="no reverse name",
    ),
    pytest.param(
        full(),
        finding(blank(), reverse={ENDPOINT: ["old.lab.test"]}),
        WANTED,
        ["On node2", f"{ENDPOINT} leads back to old.lab.test", f"instead of {ENDPOINT_NAME}", "reverse DNS"],
        id="other reverse name",
    ),
    pytest.param(
        own(full(), problem="psql: error: FATAL: out of memory"),
        blank(),
        WANTED,
        ["node1 can't be examined", "out of memory"],
        id="primary can't be examined",
    ),
    pytest.param(
        server("node1", postgresql("stopped")),
        blank(),
        WANTED,
        ["PostgreSQL on node1 is stopped", "start it"],
        id="primary is stopped",
    ),
    pytest.param(
        full(),
        finding(blank(), package_versions={"bacula-director": "13.0.3-1"}),
        WANTED,
        ["node2 has or would get bacula-director 13.0.3-1", "node1 9.6.7-7", "the same"],
        id="versions of the workload",
    ),
    pytest.param(
        own(full(), refused_settings=["work_mem = 3apples: invalid value"]),
        blank(),
        WANTED,
        ["node1 does not accept", "backup_ha_postgresql_settings", "work_mem = 3apples: invalid value"],
        id="settings that PostgreSQL does not accept",
    ),
    pytest.param(
        own(full(), overrides=["primary_conninfo", "wal_level"]),
        blank(),
        WANTED,
        ["On node1", "ALTER SYSTEM has set primary_conninfo, wal_level", "ALTER SYSTEM RESET"],
        id="settings by ALTER SYSTEM",
    ),
    pytest.param(
        own(full(), tablespaces=["fast"]),
        blank(),
        WANTED,
        ["node1 has tablespaces (fast)", "can't be replicated"],
        id="tablespaces",
    ),
    pytest.param(
        full(),
        own(server("node2", postgresql("stopped", data=False, system=OTHER_SYSTEM)), tablespaces=["/srv/fast"]),
        WANTED,
        ["node2 has tablespaces (/srv/fast)", "can't be replicated"],
        id="tablespaces on the secondary",
    ),
    pytest.param(
        full(),
        full("node2"),
        WANTED,
        ["node2 holds databases of its own (bacula)", "backup_ha_erase_secondary: node2"],
        id="a clone of the primary's machine",
    ),
    pytest.param(
        full(),
        server("node2", postgresql(system=OTHER_SYSTEM)),
        WANTED,
        ["node2 holds databases of its own (bacula)", "copy of node1", "backup_ha_erase_secondary: node2"],
        id="secondary with data",
    ),
    pytest.param(
        full(),
        server("node2", postgresql("stopped", system=OTHER_SYSTEM)),
        WANTED,
        ["node2 holds databases of its own", "backup_ha_erase_secondary: node2"],
        id="stopped secondary with data",
    ),
    pytest.param(
        with_locale("de_DE.UTF-8"),
        blank(),
        WANTED,
        ["node2 lacks the locale de_DE.UTF-8", "databases on node1 use", "Generate it"],
        id="locale",
    ),
    pytest.param(
        full(),
        database(blank(), free_bytes=GIB),
        WANTED,
        ["node2 has 1.0 GiB free", "1.3 GiB are needed", "copy of node1", "add space"],
        id="full disk",
    ),
    pytest.param(
        full(),
        finding(blank(), secret_files={PASSWORDS: 0o644}),
        WANTED,
        [f"On node2, {PASSWORDS}", "readable by everybody (mode 0644)", f"chmod o-rwx {PASSWORDS}"],
        id="password file readable by all",
    ),
    pytest.param(
        finding(full(), secret_files={PASSWORDS: 0o644}),
        blank(),
        WANTED,
        [f"On node1, {PASSWORDS}", "readable by everybody (mode 0644)", f"chmod o-rwx {PASSWORDS}"],
        id="password file on the primary",
    ),
]


@pytest.mark.parametrize(("primary", "secondary", "wanted", "words"), REFUSALS)
def test_one_difference_gives_one_sentence(
    primary: Server, secondary: Server, wanted: Wanted, words: list[str]
) -> None:
    (sentence,) = refusals(primary, secondary, wanted)
    assert [word for word in words if word not in sentence] == [], sentence


@pytest.mark.parametrize(
    ("primary", "secondary"),
    [
        pytest.param(full(), blank(), id="full and blank"),
        pytest.param(blank("node1"), blank(), id="two blank ones"),
        pytest.param(full(), standby(), id="a standing cluster"),
    ],
)
def test_servers_that_fit_give_no_sentence(primary: Server, secondary: Server) -> None:
    assert refusals(primary, secondary, WANTED) == []
