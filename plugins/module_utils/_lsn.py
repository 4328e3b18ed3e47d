# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's log sequence numbers as integers: bytes since the beginning of the WAL."""

from __future__ import annotations


def parse_lsn(text: str) -> int:
    """Read PostgreSQL's notation.

    >>> parse_lsn("16/B374D848")
    97500059720
    """
    high, _slash, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(lsn: int) -> str:
    """Write PostgreSQL's notation.

    >>> format_lsn(97500059720)
    '16/B374D848'
    """
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_distance(ahead: str | None, behind: str | None) -> int | None:
    """Bytes that ``behind`` still misses of ``ahead``, never negative; None when either is unknown.

    >>> lsn_distance("0/200", "0/100")
    256
    >>> lsn_distance("0/100", "0/200")
    0
    """
    if not ahead or not behind:
        return None
    return max(0, parse_lsn(ahead) - parse_lsn(behind))


def format_bytes(count: int) -> str:
    """A size as people read it.

    >>> format_bytes(512), format_bytes(104857600)
    ('512 B', '100.0 MiB')
    """
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
