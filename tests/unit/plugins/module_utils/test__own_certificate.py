# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each refusal is one sentence that names the node, what was found and what is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._own_certificate import Given, holds, refusals

NOW = 1_800_000_000.0
WANTED = ["DNS:backup.example.org", "DNS:node1", "IP:192.0.2.10", "IP:192.0.2.11"]
GOOD = Given(frozenset(WANTED), "backup_ha", NOW - 1, NOW + 1)
FOUND = "The certificate of node1 (backup_ha_certificate)"


def test_a_good_one() -> None:
    assert refusals("node1", GOOD, WANTED, NOW) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"key_fits": False},
            "The key of node1 (backup_ha_certificate_key) is not the one of its certificate; give that one.",
        ),
        (
            {"names": frozenset({"DNS:node1", "IP:192.0.2.11"})},
            f"{FOUND} has DNS:node1, IP:192.0.2.11; it also needs DNS:backup.example.org, IP:192.0.2.10.",
        ),
        ({"names": frozenset()}, f"{FOUND} has no names; it also needs {', '.join(WANTED)}."),
        (
            {"common_name": "node1"},
            f"{FOUND} has the common name 'node1'; it needs 'backup_ha', by which nodes know each other.",
        ),
        ({"until": NOW}, f"{FOUND} expired on 2027-01-15; give one that is valid."),
        ({"since": NOW + 1}, f"{FOUND} is not valid before 2027-01-15; give one that is valid now."),
        (
            {"for_clients": False},
            f"{FOUND} is not meant for clients; its extended key usage needs both serverAuth and clientAuth.",
        ),
        (
            {"for_servers": False, "for_clients": False},
            f"{FOUND} is not meant for servers and clients; its extended key usage needs both serverAuth and "
            "clientAuth.",
        ),
        (
            {"unverified": "it was signed by CN=x, which is not there"},
            f"{FOUND} does not verify with backup_ha_certificate_authority: it was signed by CN=x, which is not there. "
            "Give the authority that signed it, and those in between after the certificate.",
        ),
        ({"unreadable": ("backup_ha_certificate_key is empty.",)}, "node1: backup_ha_certificate_key is empty."),
    ],
)
def test_one_that_will_not_do(change: dict[str, Any], sentence: str) -> None:
    assert refusals("node1", replace(GOOD, **change), WANTED, NOW) == [sentence]


@pytest.mark.parametrize(
    ("name", "wanted", "held"),
    [
        ("DNS:*.example.org", "DNS:a.example.org", True),
        ("DNS:*.example.org", "DNS:a.b.example.org", False),
        ("DNS:*.0.2.1", "IP:192.0.2.1", False),
        ("DNS:*", "DNS:node1", False),
    ],
)
def test_a_wildcard_stands_for_one_part(name: str, wanted: str, held: bool) -> None:
    assert holds(frozenset({name}), wanted) is held
