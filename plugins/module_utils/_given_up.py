# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions whose commit waits for the absent secondary, and whose client has given up meanwhile.

PostgreSQL does not look at a connection while it waits for a standby (syncrep.c), so clients that try again and again
would take every connection in the end, and then neither the secondary nor anybody else could ask this node anything.
Such a commit was acknowledged to nobody, and never can be.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterable
from pathlib import Path

from ._postgres import Connection, rows

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
CLOSE_WAIT = "08"  # include/net/tcp_states.h: the other side has closed
_WAITING = (
    "SELECT pid, host(client_addr) AS address, client_port AS port FROM pg_stat_activity"
    " WHERE wait_event = 'SyncRep' AND client_addr IS NOT NULL"
)


def given_up(lines: Iterable[str], port: int) -> set[tuple[str, int]]:
    """The clients, by address and port, that have closed their connection to this port of ours. Pure.

    >>> given_up(["  1: 0A0013C6:1538 140013C6:D431 08 00000000:00000000 00:00000000 00000000  105"], 5432)
    {('198.19.0.20', 54321)}
    """
    found = set()
    for line in lines:
        fields = line.split()
        if len(fields) > 3 and fields[3] == CLOSE_WAIT and int(fields[1].rpartition(":")[2], 16) == port:
            address, _colon, number = fields[2].rpartition(":")
            found.add((_address(address), int(number, 16)))
    return found


def _address(text: str) -> str:
    """The kernel prints groups of four bytes in the machine's order.

    >>> _address("0000000000000000FFFF00000A0013C6"), _address("B80D0120000000000000000010000000")
    ('198.19.0.10', '2001:db8::10')
    """
    raw = b"".join(int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8))
    address = ipaddress.ip_address(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def end_given_up(connection: Connection, port: int) -> int:
    """End those sessions. Returns how many were told to."""
    waiting = rows(connection, _WAITING)
    if not waiting:
        return 0
    gone = given_up((line for path in TABLES if path.exists() for line in path.read_text("ascii").splitlines()), port)
    ended = [row["pid"] for row in waiting if (row["address"], row["port"]) in gone]
    if ended:
        rows(connection, "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", ended)
    return len(ended)
