# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's agent does next, from what it sees once a second. Pure.

Three questions, in this order, and only on a primary:

- *outvoted*: the other node accepts writes on a newer timeline, so it was promoted; this one stops serving and follows.
- *cut off*: neither the other node nor any witness answers for some time; this one stops serving and asks to resume.
- *protection*: whether commits wait for the secondary. It is declared only when everything that was acknowledged
  before it began to count has reached the secondary, and taken back in writing before the first commit that does not
  wait. Whoever believes the last word can therefore trust it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from ._config import AgentConfig
from ._lsn import lsn_distance, parse_lsn

OURS, NONE, FOREIGN = "ours", "none", "foreign"
OFF, PREFERRED, REQUIRED = "off", "preferred", "required"
# Who stands still for longer has not watched: what lasted meanwhile proves nothing.
STALL_S = 5.0
# A secondary that is further behind would let commits wait for long.
CLOSE_BYTES = 16 * 1024 * 1024


class Peer(NamedTuple):
    """The other node, asked because it does not stream: whether its machine answers, the timeline that it writes on."""

    answers: bool
    writes_on: int | None = None


@dataclass(frozen=True)
class Seen:
    """One look. ``at`` is a monotonic time in seconds; positions are LSNs.

    ``setting``: whether commits wait for the other node (``ours``), for nobody, or for somebody that is not ours.
    ``counts_from``: since which position the setting is known to count for every session; None until that is known.
    ``declared``: the cluster's last word is that commits on this timeline are protected. ``word``: that they are, on
    whatever timeline and of whichever node. ``peer`` and ``witness`` are asked only while the secondary does not
    stream.
    """

    at: float
    role: str
    timeline: int | None = None
    setting: str = NONE
    counts_from: str | None = None
    begun: bool = False
    declared: bool = False
    word: bool = False
    streams: bool = False
    written: str | None = None
    flushed: str | None = None
    peer: Peer | None = None
    witness: bool | None = None


@dataclass(frozen=True)
class Memory:
    """Since when, in the same clock, things are as they are; None where they are not."""

    last: float | None = None
    alone_since: float | None = None
    cut_off_since: float | None = None


class Action(NamedTuple):
    """``enforce``, ``declare``, ``release``, ``follow`` (stop serving for good) or ``isolate`` (stop and ask)."""

    name: str
    why: str = ""


def decide(config: AgentConfig, memory: Memory, seen: Seen) -> tuple[Memory, Action | None]:
    """The next step, and what to remember. The same look again, after the step was done, asks for no more."""
    memory = remember(memory, seen)
    if seen.role == "secondary":
        return memory, _prepared(config, seen)
    if seen.role != "primary":
        return memory, None
    return memory, _outvoted(seen) or _cut_off(config, memory, seen) or _protection(config, memory, seen)


def remember(memory: Memory, seen: Seen) -> Memory:
    if seen.role != "primary":
        return Memory(last=seen.at)
    stalled = memory.last is not None and seen.at - memory.last > STALL_S
    alone = not seen.streams
    cut_off = alone and seen.peer is not None and not seen.peer.answers and seen.witness is False

    def since(now: bool, before: float | None) -> float | None:
        if not now:
            return None
        return seen.at if before is None or stalled else before

    return replace(
        memory,
        last=seen.at,
        alone_since=since(alone, memory.alone_since),
        cut_off_since=since(cut_off, memory.cut_off_since),
    )


def _prepared(config: AgentConfig, seen: Seen) -> Action | None:
    """On a standby the setting does nothing yet; it counts from the first commit after a promotion."""
    if seen.setting == OURS and config.synchronous != REQUIRED:
        return Action("release", "this node follows")
    if seen.setting == NONE and config.synchronous == REQUIRED:
        return Action("enforce")
    return None


def _outvoted(seen: Seen) -> Action | None:
    # A standby with a newer timeline yields to a writer when it starts; whoever let this one go on knew of it.
    newer = seen.peer.writes_on if seen.peer else None
    if newer and seen.timeline and newer > seen.timeline:
        return Action("follow", f"the other node is primary on timeline {newer}, this one on {seen.timeline}")
    return None


def _cut_off(config: AgentConfig, memory: Memory, seen: Seen) -> Action | None:
    since = memory.cut_off_since
    if config.isolation_timeout and since is not None and seen.at - since >= config.isolation_timeout:
        return Action("isolate", f"neither the other node nor a witness has answered for {seen.at - since:.0f} s")
    return None


def _protection(config: AgentConfig, memory: Memory, seen: Seen) -> Action | None:
    if seen.setting == FOREIGN:
        return None
    if config.synchronous == OFF:
        return Action("release", "it is not wanted") if seen.setting == OURS or seen.word else None
    if config.synchronous == PREFERRED and not seen.streams:
        return _alone(config, memory, seen)
    if seen.setting == NONE:
        near = seen.streams and lsn_distance(seen.written, seen.flushed) in range(CLOSE_BYTES + 1)
        # The first copy may take hours. But once commits were protected, none may be acknowledged that is not.
        missed = config.synchronous == REQUIRED and seen.word
        return Action("enforce") if near or missed else None
    if seen.counts_from is None:
        return None if seen.begun else Action("enforce")
    if seen.streams and not seen.declared and _has(seen.flushed, seen.counts_from):
        return Action("declare")
    return None


def _alone(config: AgentConfig, memory: Memory, seen: Seen) -> Action | None:
    """Without the secondary; not while cut off from everybody, for then another primary may have been made."""
    if seen.setting == NONE:
        # Only an interrupted step leaves a word that is not true any more.
        return Action("release", "this node became primary without it") if seen.word else None
    since = memory.alone_since
    asked = seen.peer is not None and memory.cut_off_since is None
    if asked and since is not None and seen.at - since >= config.sync_grace:
        return Action("release", f"the secondary has not streamed for {seen.at - since:.0f} s")
    return None


def _has(flushed: str | None, wanted: str) -> bool:
    return flushed is not None and parse_lsn(flushed) >= parse_lsn(wanted)
