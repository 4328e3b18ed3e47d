# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two servers of one system parted, by PostgreSQL's timeline history files. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._lsn import parse_lsn


@dataclass(frozen=True)
class Stretch:
    """What a server wrote or replayed on one timeline; ``end`` is None on the timeline that it is on now."""

    timeline: int
    begin: int
    end: int | None = None


def parse_history(text: str, timeline: int) -> list[Stretch]:
    """The past of a server that is on ``timeline``, from that timeline's history file (empty for the first one).

    >>> parse_history("1\\t0/3000060\\tno recovery target specified\\n", 2)
    [Stretch(timeline=1, begin=0, end=50331744), Stretch(timeline=2, begin=50331744, end=None)]
    """
    past: list[Stretch] = []
    begin = 0
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith("#"):
            continue
        end = parse_lsn(words[1])
        past.append(Stretch(int(words[0]), begin, end))
        begin = end
    return [*past, Stretch(timeline, begin)]


def parted(own: list[Stretch], other: list[Stretch]) -> list[Stretch]:
    """The stretches that only the first server can have: from the point where the two parted, oldest first.

    Empty when the second one's past begins with all of the first one's. The last stretch has no end: whether anything
    was written on it, only the WAL itself says.
    """
    common = 0
    for mine, theirs in zip(own, other, strict=False):
        if (mine.timeline, mine.begin) != (theirs.timeline, theirs.begin):
            break
        common += 1
    if not common:
        return list(own)
    last = own[common - 1]
    ends = [end for end in (last.end, other[common - 1].end) if end is not None]
    if not ends:
        return []
    first = Stretch(last.timeline, min(ends), last.end)
    return [*([] if first.begin == first.end else [first]), *own[common:]]


def timeline_at(past: list[Stretch], lsn: int) -> int:
    """The timeline that the byte at a position was written on.

    >>> timeline_at(parse_history("1\\t0/3000060\\tno recovery target specified\\n", 2), parse_lsn("0/3000060"))
    2
    """
    return next(part.timeline for part in past if lsn >= part.begin and (part.end is None or lsn < part.end))


def outvoter(own: list[Stretch], reached: int, heard: list[list[Stretch]]) -> Stretch | None:
    """The newest timeline, of those heard of, that leaves out what was replayed here last. Pure."""
    here = timeline_at(own, reached - 1)
    newer = [past for past in heard if past[-1].timeline > own[-1].timeline]
    without = [past[-1] for past in newer if timeline_at(past, reached - 1) != here]
    return max(without, key=lambda stretch: stretch.timeline, default=None)


def describe_outvoted(node: str, peer: str, outvoted: dict[str, Any]) -> str:
    return (
        f"{node} was left behind: timeline {outvoted['timeline']} of {peer} began at {outvoted['since']} without what "
        f"{node} has, and what was written since is only on {peer}."
    )


def go_on_outvoted(node: str, peer: str) -> str:
    """No fence and no bound of bytes speaks of that loss; the word that gives the other node up does."""
    return (
        f"If {peer} is lost for good, everything that was written there since is lost with it; to go on with what "
        f"{node} has, run on {node}: backup-ha resume --alone"
    )


def same_number(own: list[Stretch], other: list[Stretch]) -> bool:
    """Both are on timelines of one number that began apart: pg_rewind would take them for the same."""
    return own[-1].timeline == other[-1].timeline and own[-1].begin != other[-1].begin


def history_file(timeline: int) -> str:
    """
    >>> history_file(26)
    '0000001A.history'
    """
    return f"{timeline:08X}.history"


def segment_number(name: str, segment_bytes: int) -> int | None:
    """The place of a WAL segment in the WAL, whatever its timeline; None for the name of any other file.

    >>> segment_number("000000020000000100000003", 16777216), segment_number("00000002.history", 16777216)
    (259, None)
    """
    if len(name) != 24 or set(name) - set("0123456789ABCDEF"):
        return None
    return int(name[8:16], 16) * (2**32 // segment_bytes) + int(name[16:], 16)


def segment_name(timeline: int, lsn: int, segment_bytes: int) -> str:
    """The WAL segment that holds the byte at a position.

    >>> segment_name(2, parse_lsn("1/3000060"), 16777216)
    '000000020000000100000003'
    """
    high, low = divmod(lsn // segment_bytes, 2**32 // segment_bytes)
    return f"{timeline:08X}{high:08X}{low:08X}"


def segments(timeline: int, begin: int, end: int, segment_bytes: int) -> list[str]:
    """The WAL segments that hold the bytes from ``begin`` up to, not including, ``end``.

    >>> segments(1, 0x2FFFFF0, 0x3000010, 16777216)
    ['000000010000000000000002', '000000010000000000000003']
    """
    last = max(begin, end - 1)
    starts = range(begin - begin % segment_bytes, last + 1, segment_bytes)
    return [segment_name(timeline, lsn, segment_bytes) for lsn in starts]
