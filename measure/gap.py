"""The write gap: the longest time in which no commit was acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from measure.records import Attempt, Outcome


@dataclass(frozen=True)
class Gap:
    """`gap_ms` is None when it was not measured; `why` then says what was missing."""

    gap_ms: float | None
    began: float | None  # monotonic seconds of the last acknowledgement before the gap
    ended: float | None
    usual_ms: float | None  # 99th percentile of all other intervals: the resolution of the figure
    acknowledged: int
    refused: int
    doubt: int
    why: str = ""


def write_gap(attempts: Sequence[Attempt], begin: float, end: float) -> Gap:
    """The longest interval between consecutive acknowledgements that touches the window [begin, end].

    The writer must have been at work before the window and must still have been after it: a writer that
    never came back has no gap of zero, it has no measured gap.
    """
    acks = sorted(a.ended for a in attempts if a.outcome is Outcome.ACCEPTED)
    inside = [a for a in attempts if a.ended >= begin and a.started <= end]
    counts = (
        sum(a.outcome is Outcome.ACCEPTED for a in inside),
        sum(a.outcome is Outcome.REFUSED for a in inside),
        sum(a.outcome is Outcome.DOUBT for a in inside),
    )
    missing = _missing(acks, begin, end)
    if missing:
        return Gap(None, None, None, None, *counts, why=missing)
    intervals = [
        (later - earlier, earlier, later) for earlier, later in pairwise(acks) if later >= begin and earlier <= end
    ]
    longest = max(intervals)
    others = sorted(length for length, _, _ in intervals)[:-1]
    usual = others[int(len(others) * 0.99)] * 1000 if others else None
    return Gap(longest[0] * 1000, longest[1], longest[2], usual, *counts)


def _missing(acks: Sequence[float], begin: float, end: float) -> str:
    """Why these acknowledgements do not cover the window, or an empty string."""
    if end < begin:
        return "the window ends before it begins"
    if not acks or acks[0] > begin:
        return "no commit was acknowledged before the window"
    if acks[-1] < end:
        return "no commit was acknowledged after the window"
    return ""
