# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a certificate that the user gives will do for a node: every reason why not, as a sentence. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ._config import REPLICATION_ROLE


@dataclass(frozen=True)
class Given:
    """What was read of it. ``names`` in openssl's notation; ``since`` and ``until`` in epoch seconds; ``unverified``:
    why it does not verify with the authority, empty when it does."""

    names: frozenset[str] = frozenset()
    common_name: str = ""
    since: float = 0.0
    until: float = 0.0
    for_servers: bool = True
    for_clients: bool = True
    key_fits: bool = True
    unverified: str = ""
    unreadable: tuple[str, ...] = field(default=())


def refusals(node: str, given: Given, wanted: list[str], now: float) -> list[str]:
    """``wanted`` are the names and addresses that it has to hold."""
    if given.unreadable:
        return [f"{node}: {reason}" for reason in given.unreadable]
    found = f"The certificate of {node} (backup_ha_certificate)"
    said = []
    if not given.key_fits:
        said.append(f"The key of {node} (backup_ha_certificate_key) is not the one of its certificate; give that one.")
    missing = [name for name in wanted if not holds(given.names, name)]
    if missing:
        has = ", ".join(sorted(given.names)) or "no names"
        said.append(f"{found} has {has}; it also needs {', '.join(missing)}.")
    if given.common_name != REPLICATION_ROLE:
        said.append(
            f"{found} has the common name '{given.common_name}'; it needs '{REPLICATION_ROLE}', by which nodes know "
            "each other."
        )
    if given.until <= now:
        said.append(f"{found} expired on {day(given.until)}; give one that is valid.")
    elif given.since > now:
        said.append(f"{found} is not valid before {day(given.since)}; give one that is valid now.")
    lacks = [use for use, good in (("servers", given.for_servers), ("clients", given.for_clients)) if not good]
    if lacks:
        said.append(
            f"{found} is not meant for {' and '.join(lacks)}; its extended key usage needs both serverAuth and "
            "clientAuth."
        )
    if given.unverified:
        said.append(
            f"{found} does not verify with backup_ha_certificate_authority: {given.unverified}. Give the authority "
            "that signed it, and those in between after the certificate."
        )
    return said


def holds(names: frozenset[str], wanted: str) -> bool:
    """Whether it holds a name, itself or by a wildcard for the first part of it.

    >>> holds(frozenset({"DNS:*.example.org"}), "DNS:node1.example.org")
    True
    """
    first, _dot, rest = wanted.partition(".")
    return wanted in names or (first.startswith("DNS:") and bool(rest) and f"DNS:*.{rest}" in names)


def day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
