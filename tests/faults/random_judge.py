"""Two writers, and acknowledged rows that are gone, over a run with many failovers. Pure.

`measure.writers` judges one role change. In a long run a failover may lose a timeline together with its rows, and the
other node then takes the same number; so here only periods count. On one timeline a node is the writer without a break,
because whatever starts anew starts read-only and goes on with a new timeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from measure.records import Attempt, Outcome, Probe

HEARD_SLACK_S = 2.0  # the announcement is in whole seconds, and a row travels for a moment


@dataclass
class Period:
    """When a node certainly was the writer on a timeline: from the end of one write to the beginning of another."""

    node: str
    timeline: int
    begin: float
    end: float
    count: int = 0

    def add(self, probe: Probe) -> None:
        self.begin, self.end = min(self.begin, probe.finished), max(self.end, probe.started)
        self.count += 1

    def overlap(self, other: Period) -> float:
        """Seconds in which both were writers; 0 or less when that is not proven."""
        return min(self.end, other.end) - max(self.begin, other.begin)


@dataclass
class Writers:
    """Every period so far, fed with probes as they come."""

    periods: dict[tuple[str, int], Period] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)  # probes by node that met a server

    def add(self, probes: Iterable[Probe]) -> None:
        for probe in probes:
            if probe.outcome in (Outcome.ACCEPTED, Outcome.REFUSED):
                self.answers[probe.node] = self.answers.get(probe.node, 0) + 1
            if probe.outcome is Outcome.ACCEPTED and probe.timeline is not None:
                key = (probe.node, probe.timeline)
                # A single write proves a moment between its beginning and its end, and so an empty period.
                self.periods.setdefault(key, Period(*key, probe.finished, probe.started)).add(probe)

    def proofs(self) -> list[str]:
        """Every proof of two writers, as sentences."""
        known = sorted(self.periods.values(), key=lambda period: (period.node, period.timeline))
        return [
            f"{one.node} on timeline {one.timeline} and {two.node} on timeline {two.timeline} both accepted writes "
            f"for at least {seconds * 1000:.1f} ms"
            for one, two in combinations(known, 2)
            if one.node != two.node and (seconds := _both(one, two)) > 0
        ]


def _both(one: Period, two: Period) -> float:
    """The overlap; a single write of one counts when it lies inside of the other's period."""
    for single, long in ((one, two), (two, one)):
        if single.begin > single.end and long.begin <= single.end and single.begin <= long.end:
            return single.begin - single.end
    return one.overlap(two)


@dataclass(frozen=True)
class Cover:
    """A failover that was tried: from when to when (monotonic seconds), and what it announced.

    `nothing`: that nothing would be missing. `heard`: since when the primary's writes can't be known; None: unsaid.
    """

    began: float
    ended: float
    nothing: bool = False
    heard: float | None = None


@dataclass(frozen=True)
class Gone:
    """Consecutive acknowledged rows that are not there, with the time of the next acknowledgement after them."""

    first: Attempt
    last: Attempt
    count: int
    next_at: float | None

    def __str__(self) -> str:
        return f"{self.count} acknowledged rows ({self.first.number} to {self.last.number})"


def gone(acknowledged: Sequence[Attempt], present: set[int]) -> list[Gone]:
    """`acknowledged` in the order in which they were written."""
    found: list[Gone] = []
    begin = None
    for at, attempt in enumerate(acknowledged):
        if attempt.number not in present:
            begin = at if begin is None else begin
        elif begin is not None:
            found.append(Gone(acknowledged[begin], acknowledged[at - 1], at - begin, attempt.ended))
            begin = None
    if begin is not None:
        found.append(Gone(acknowledged[begin], acknowledged[-1], len(acknowledged) - begin, None))
    return found


def unexplained(missing: Sequence[Gone], covers: Sequence[Cover]) -> list[str]:
    """Why rows must not be missing, as sentences. A failover explains the last rows before it and no others."""
    return [why for part in missing if (why := _unexplained(part, covers))]


def _unexplained(part: Gone, covers: Sequence[Cover]) -> str:
    # Two failovers in a row may leave one gap, of which the later one explains the end.
    chain = [c for c in covers if part.first.ended <= c.ended and (part.next_at is None or part.next_at >= c.began)]
    last = [cover for cover in chain if part.last.ended <= cover.ended]
    if not last:
        return f"{part} are gone, and no failover came between them and the next one"
    if all(cover.nothing for cover in last):
        return f"{part} are gone after a failover that said that nothing was missing"
    honest = [c for c in chain if c.heard is None or part.first.ended >= c.heard - HEARD_SLACK_S]
    if all(cover.nothing for cover in honest):
        early = min(c.heard - part.first.ended for c in chain if c.heard is not None)
        return f"{part} are gone, the first {early:.1f} s older than the failover said that a loss could be"
    return ""
