"""Were there two writers? A verdict on probes that tried real writes on every node at its own address.

What proves two writers, given only when each probe started and finished:
- a write accepted on a lower timeline that *started* after a write on a higher timeline of another node had
  *finished*. The higher timeline exists from its promotion on, so the old primary still took writes after it.
- writes accepted on the same timeline number by two nodes, unless one node's all finished before the other's
  first one started: each promotion takes a new number, so the same one on both means two histories.
A slow answer proves nothing: a write that started before the promotion may have been committed before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from measure.records import Outcome, Probe


@dataclass(frozen=True)
class Needs:
    """What must have been observed before "no two writers" may be said."""

    probes: int = 100  # per node, inside the window
    blind_ms: float = 500.0  # the longest a node may have gone without a finished probe
    accepted_on: frozenset[str] = frozenset()  # nodes that were primary: a write must have been seen there


@dataclass(frozen=True)
class Count:
    """How well one node was watched inside the window."""

    probes: int
    accepted: int
    refused: int
    unreachable: int
    doubt: int
    broken: int
    blind_ms: float


@dataclass(frozen=True)
class Verdict:
    """`two_writers` is None when too little was observed; `why` says what was seen or what was missing."""

    two_writers: bool | None
    why: tuple[str, ...]
    counts: dict[str, Count]


def judge(probes: Sequence[Probe], nodes: Iterable[str], begin: float, end: float, needs: Needs) -> Verdict:
    """The verdict for a window. Two writers, once seen anywhere, are true however thin the rest is."""
    counts = {node: _count([p for p in probes if p.node == node], begin, end) for node in nodes}
    proofs = [*_older_timeline_after_newer(probes), *_same_timeline_twice(probes)]
    if proofs:
        return Verdict(True, tuple(proofs), counts)
    missing = tuple(_missing(counts, needs))
    return Verdict(None if missing else False, missing, counts)


@dataclass(frozen=True)
class _Writes:
    """Accepted writes of one node on one timeline."""

    node: str
    timeline: int
    probes: tuple[Probe, ...]

    @property
    def first(self) -> Probe:
        return min(self.probes, key=lambda p: p.started)

    @property
    def first_done(self) -> Probe:
        return min(self.probes, key=lambda p: p.finished)

    @property
    def last(self) -> Probe:
        return max(self.probes, key=lambda p: p.started)

    @property
    def last_done(self) -> Probe:
        return max(self.probes, key=lambda p: p.finished)


def _grouped(probes: Iterable[Probe]) -> list[_Writes]:
    groups: dict[tuple[str, int], list[Probe]] = {}
    for probe in probes:
        if probe.outcome is Outcome.ACCEPTED and probe.timeline is not None:
            groups.setdefault((probe.node, probe.timeline), []).append(probe)
    return [_Writes(node, timeline, tuple(found)) for (node, timeline), found in sorted(groups.items())]


def _older_timeline_after_newer(probes: Iterable[Probe]) -> list[str]:
    found = []
    for one, two in combinations(_grouped(probes), 2):
        old, new = sorted((one, two), key=lambda w: w.timeline)
        if old.node == new.node or old.timeline == new.timeline:
            continue
        late, early = old.last, new.first_done
        if late.started > early.finished:
            found.append(
                f"{old.node} accepted a write on timeline {old.timeline} that started "
                f"{(late.started - early.finished) * 1000:.1f} ms after {new.node} had finished one "
                f"on timeline {new.timeline}"
            )
    return found


def _same_timeline_twice(probes: Iterable[Probe]) -> list[str]:
    found = []
    for one, two in combinations(_grouped(probes), 2):
        if one.node == two.node or one.timeline != two.timeline:
            continue
        one_then_two = one.last_done.finished <= two.first.started
        two_then_one = two.last_done.finished <= one.first.started
        if not (one_then_two or two_then_one):
            found.append(f"{one.node} and {two.node} accepted writes on timeline {one.timeline} in the same period")
    return found


def _count(probes: Sequence[Probe], begin: float, end: float) -> Count:
    inside = [p for p in probes if p.finished >= begin and p.started <= end]
    sound = sorted(p.finished for p in inside if p.outcome is not Outcome.BROKEN)
    # A probe from before or after the window must not hide that the window's edge was not watched.
    marks = [begin, *(min(max(mark, begin), end) for mark in sound), end]
    blind = max((later - earlier for earlier, later in pairwise(marks)), default=0.0)

    def number(outcome: Outcome) -> int:
        return sum(p.outcome is outcome for p in inside)

    return Count(
        probes=len(sound),
        accepted=number(Outcome.ACCEPTED),
        refused=number(Outcome.REFUSED),
        unreachable=number(Outcome.UNREACHABLE),
        doubt=number(Outcome.DOUBT),
        broken=number(Outcome.BROKEN),
        blind_ms=blind * 1000,
    )


def _missing(counts: dict[str, Count], needs: Needs) -> Iterable[str]:
    if len(counts) < 2:
        yield f"{len(counts)} node watched, 2 needed"
    if not any(count.accepted for count in counts.values()):
        yield "no node accepted any probe, so the probes show nothing"
    for node, count in counts.items():
        if count.probes < needs.probes:
            yield f"{node}: {count.probes} probes, {needs.probes} needed"
        if count.blind_ms > needs.blind_ms:
            yield f"{node}: not watched for {count.blind_ms:.0f} ms, at most {needs.blind_ms:.0f} ms allowed"
        if node in needs.accepted_on and not count.accepted:
            yield f"{node}: was primary in the window, but no probe was accepted there"
