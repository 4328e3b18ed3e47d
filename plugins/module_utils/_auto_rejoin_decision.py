# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a node that can't follow rejoins by itself, and when it tries again. Pure.

A rejoin by itself does what the command does, and gives nobody's word: where the two nodes could each be the better
one, it declines and says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from ._lsn import format_lsn
from ._timeline import Stretch, parted

FORK, LOST, UNUSABLE, INTERRUPTED = "fork", "lost", "unusable", "interrupted"
START, DECLINE, FORGET = "start", "decline", "forget"
RUNNING, DONE, FAILED, SILENT, DECLINED = "running", "done", "failed", "silent", "declined"
# After the first failed attempt, the second …; after one more there is none.
PAUSES_S = (60.0, 300.0, 900.0, 3600.0)
# When the primary went away in the middle, which is no failure of this node.
SILENT_PAUSE_S = 10.0
LOOKS = 3
# A standby with a fork streams for moments, up to the fork.
FOLLOWS_S = 5.0
SOUND_S = 60.0


class Need(NamedTuple):
    """Why this node can't follow. ``mark`` tells it from others; ``refusal``: why only somebody's word helps."""

    kind: str
    mark: str
    refusal: str = ""


@dataclass(frozen=True)
class Own:
    """This node, by its disk: ``reached`` is a position; ``heard``: the newest timeline known that left it out."""

    node: str
    system: str | None
    past: list[Stretch] = field(default_factory=list)
    reached: int = 0
    heard: int = 0
    accepting: bool = False  # its server lets sessions in, as a standby
    unusable: bool = False
    interrupted: bool = False  # an attempt of its own did not come to its end


@dataclass(frozen=True)
class Primary:
    """The other node, by a session to it: a writer that nobody is just promoting, with all of its past."""

    node: str
    system: str
    past: list[Stretch]
    slot: str | None  # state of the WAL that its slot keeps for this node
    has_wal: bool  # from where this node is

    @property
    def timeline(self) -> int:
        return self.past[-1].timeline


def find_need(own: Own, primary: Primary | None) -> Need | None:
    """What keeps this node from following; None where nothing does, or nobody is there to be followed."""
    if primary is None or own.system not in (None, primary.system):
        return None
    if own.unusable:
        return Need(UNUSABLE, UNUSABLE)
    if own.system is None or not own.past:
        return Need(INTERRUPTED, INTERRUPTED) if own.interrupted else None
    since = parted(own.past, primary.past)
    # A server that somebody has stopped stays so.
    if (own.accepting or own.interrupted) and since and own.reached > since[0].begin:
        mark = f"{FORK} on timeline {own.past[-1].timeline} at {format_lsn(since[0].begin)}"
        return Need(FORK, mark, _why_declined(own, primary))
    if own.accepting and (primary.slot in (None, "lost") or not primary.has_wal):
        return Need(LOST, LOST)
    return Need(INTERRUPTED, INTERRUPTED) if own.interrupted else None


def _why_declined(own: Own, primary: Primary) -> str:
    """Why it is not certain that the primary's data is the better one; nothing when it is."""
    mine = own.past[-1]
    if primary.timeline <= mine.timeline:
        return (
            f"{primary.node} is primary on timeline {primary.timeline}, which is not newer than timeline "
            f"{mine.timeline} of {own.node}."
        )
    if own.heard > primary.timeline:
        return (
            f"{own.node} has heard of timeline {own.heard}, and {primary.node} is primary on timeline "
            f"{primary.timeline} only."
        )
    if not any((part.timeline, part.begin) == (mine.timeline, mine.begin) for part in primary.past):
        return (
            f"{own.node} was promoted, to timeline {mine.timeline}, and {primary.node} was promoted without it: each "
            "has data of a time as primary that the other one lacks."
        )
    return ""


@dataclass(frozen=True)
class Record:
    """What became of the attempts so far, on disk; times in epoch seconds. ``ended`` is None while one is under way."""

    mark: str
    attempts: int
    outcome: str
    at: float
    boot: str
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def is_about(record: Record, need: Need) -> bool:
    """Whether the attempts of the record were about the same; what they left half done is."""
    return need.kind in (UNUSABLE, INTERRUPTED) or record.mark == need.mark


def pause_after(record: Record, boot: str) -> float | None:
    """How many seconds to wait from the record's time on; None for ever."""
    if record.outcome == SILENT:
        return SILENT_PAUSE_S
    if record.outcome == DECLINED:
        return 0.0
    if record.attempts > len(PAUSES_S):
        return None
    if record.outcome == RUNNING and record.boot != boot:
        return 0.0  # the machine ended it
    return PAUSES_S[max(0, record.attempts - 1)]


def is_due(record: Record | None, need: Need, now: float, boot: str) -> bool:
    if record is None or not is_about(record, need):
        return True
    pause = pause_after(record, boot)
    # A time in the future is of a clock that was set back.
    return pause is not None and not 0 <= now - record.at < pause


def begun(record: Record | None, need: Need, now: float, boot: str) -> Record:
    """The record of the next attempt."""
    before = record.attempts if record and is_about(record, need) else 0
    mark = record.mark if record and need.kind in (UNUSABLE, INTERRUPTED) else need.mark
    return Record(mark, before + 1, RUNNING, now, boot)


def ended(record: Record, outcome: str, now: float, problem: str = "") -> Record:
    """An attempt that ended because the primary went away does not count, nor one that was not made."""
    attempts = record.attempts - 1 if outcome in (SILENT, DECLINED) else record.attempts
    return replace(record, outcome=outcome, at=now, problem=problem, attempts=attempts)


@dataclass(frozen=True)
class Look:
    """``at`` is monotonic, ``now`` epoch seconds. ``busy``: an operation works on this node, perhaps the rejoin."""

    at: float
    now: float
    boot: str
    allowed: bool
    streams: bool
    busy: bool = False
    need: Need | None = None
    record: Record | None = None


@dataclass(frozen=True)
class Memory:
    """The need that is being watched and for how many looks; since when this node streams, and when it last began."""

    need: Need | None = None
    looks: int = 0
    streams_since: float | None = None
    begun_at: float | None = None


def decide(memory: Memory, look: Look) -> tuple[Memory, str]:
    """What to remember, and the next step: nothing, START, DECLINE (once) or FORGET the attempts that are over."""
    if look.streams:
        since = look.at if memory.streams_since is None else memory.streams_since
        if look.at - since < FOLLOWS_S:
            return replace(memory, streams_since=since), ""
        over = look.record and not look.busy and look.at - since >= SOUND_S
        return Memory(streams_since=since), FORGET if over else ""
    looks = memory.looks + 1 if look.need == memory.need else 1
    memory = Memory(look.need, looks, None, memory.begun_at)
    if look.need is None or not look.allowed or look.busy or looks < LOOKS:
        return memory, ""
    if look.need.refusal:
        known = look.record and (look.record.outcome, look.record.problem) == (DECLINED, look.need.refusal)
        return memory, "" if known else DECLINE
    if _has_just_begun(memory, look) or not is_due(look.record, look.need, look.now, look.boot):
        return memory, ""
    return replace(memory, begun_at=look.at), START


def _has_just_begun(memory: Memory, look: Look) -> bool:
    """One that could not even write down that it began must not begin again and again."""
    pause = SILENT_PAUSE_S if look.record else PAUSES_S[0]
    return memory.begun_at is not None and look.at - memory.begun_at < pause
