"""Lost commits: acknowledged to a client, absent from the server that took over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from measure.records import Attempt, Outcome


@dataclass(frozen=True)
class Loss:
    """Numbers of the lost rows, and how many were compared with how many."""

    lost: tuple[int, ...]
    acknowledged: int
    present: int
    unacknowledged: int  # there although never acknowledged: allowed, the answer got lost and not the row

    @property
    def count(self) -> int | None:
        """How many commits were lost; None when nothing was acknowledged and so nothing was measured."""
        return len(self.lost) if self.acknowledged else None


def lost_commits(attempts: Iterable[Attempt], present: Iterable[int]) -> Loss:
    """Compare what the server acknowledged with the numbers found on the new primary."""
    acknowledged = {a.number for a in attempts if a.outcome is Outcome.ACCEPTED}
    found = set(present)
    return Loss(
        lost=tuple(sorted(acknowledged - found)),
        acknowledged=len(acknowledged),
        present=len(found),
        unacknowledged=len(found - acknowledged),
    )
