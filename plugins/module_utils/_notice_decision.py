# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent has to say of what it sees, and what it remembers of what it has said. Pure.

Each notice is given once when something becomes true and once when it is over. What was said is kept on disk, so that
an agent that is started again does not repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ._lsn import format_bytes

AWAY_S = 600.0
EXPIRY_S = 30 * 86400.0
HALF, LOST = "half", "lost"


@dataclass(frozen=True)
class Facts:
    """One look. ``at`` and ``expiries`` (by the certificate's name) are in epoch seconds.

    Of the slot that keeps WAL for the secondary: ``wal_status`` in PostgreSQL's words, ``missing`` without a slot, None
    where it was not looked at. ``cap_bytes`` is None without a bound. ``left_over`` is the record of an operation that
    nobody runs any more.
    """

    at: float
    node: str
    peer: str
    role: str
    timeline: int | None = None
    streams: bool = False
    wal_status: str | None = None
    kept_bytes: int | None = None
    cap_bytes: int | None = None
    expiries: dict[str, float] = field(default_factory=dict)
    left_over: dict[str, Any] | None = None


@dataclass(frozen=True)
class Said:
    """What was so, and was said, at the last look. Times in epoch seconds; None where it is not so."""

    role: str = ""
    timeline: int | None = None
    role_since: float | None = None
    away_since: float | None = None
    away: bool = False
    wal: str = ""
    expiring: tuple[str, ...] = ()
    left_over: str = ""


class Notice(NamedTuple):
    """An event to emit."""

    kind: str
    message: str
    details: dict[str, Any]


def decide_notices(said: Said, facts: Facts) -> tuple[Said, list[Notice]]:
    """What to say now, and what to remember. The same look again says nothing."""
    notices: list[Notice] = []
    said = _expiry(said, facts, notices)
    if facts.role not in ("primary", "secondary"):
        return said, notices  # a server that does not answer has the role that it had
    said = _role(said, facts, notices)
    if facts.role == "secondary":
        return replace(said, away_since=None, away=False, wal="", left_over=""), notices
    said = _away(said, facts, notices)
    said = _wal(said, facts, notices)
    return _left_over(said, facts, notices), notices


def _role(said: Said, facts: Facts, notices: list[Notice]) -> Said:
    again = facts.role == "primary" and said.role == "primary" and facts.timeline != said.timeline
    if said.role == facts.role and not again:
        return said
    if said.role:
        now = f"{facts.node} is the {facts.role} now"
        if facts.role == "primary":
            now = f"{facts.node} is the primary {'again' if again else 'now'}, on timeline {facts.timeline}"
        details = {"before": said.role, "after": facts.role, "timeline": facts.timeline}
        notices.append(Notice("role_changed", f"{now}.", details))
    return replace(said, role=facts.role, timeline=facts.timeline, role_since=facts.at)


def _away(said: Said, facts: Facts, notices: list[Notice]) -> Said:
    if facts.streams:
        if said.away and said.away_since is not None:
            gone = facts.at - said.away_since
            message = f"{facts.peer} streams again, after {_minutes(gone)}."
            notices.append(Notice("secondary_back", message, {"secondary": facts.peer, "away_s": round(gone)}))
        return replace(said, away_since=None, away=False)
    since = said.away_since
    if since is None or since > facts.at:  # a clock that was set back
        return replace(said, away_since=facts.at)
    if not said.away and facts.at - since >= AWAY_S:
        message = f"{facts.peer} has not streamed for {_minutes(facts.at - since)}. {facts.node} keeps WAL for it."
        notices.append(Notice("secondary_away", message, {"secondary": facts.peer, "since": since}))
        return replace(said, away=True)
    return said


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def wal_level(wal_status: str | None, kept_bytes: int | None, cap_bytes: int | None) -> str:
    """Whether the WAL that is kept for an absent secondary is past half of the cap, or past all of it and gone.

    >>> wal_level("extended", 60, 100), wal_level("reserved", 40, 100), wal_level("lost", None, 100)
    ('half', '', 'lost')
    """
    if wal_status == "lost":
        return LOST
    if cap_bytes is not None and (wal_status == "unreserved" or 2 * (kept_bytes or 0) > cap_bytes):
        return HALF
    return ""


def _wal(said: Said, facts: Facts, notices: list[Notice]) -> Said:
    if facts.wal_status is None:
        return said
    level = wal_level(facts.wal_status, facts.kept_bytes, facts.cap_bytes)
    details = {"secondary": facts.peer, "kept_bytes": facts.kept_bytes, "cap_bytes": facts.cap_bytes}
    if level == LOST and said.wal != LOST:
        message = f"{facts.node} no longer has the WAL that {facts.peer} needs; it needs a fresh copy."
        notices.append(Notice("wal_lost", message, details))
    elif level == HALF and not said.wal:
        message = describe_half(facts.node, facts.peer, facts.kept_bytes, facts.cap_bytes)
        notices.append(Notice("wal_half", message, details))
    elif not level and said.wal == HALF and 4 * (facts.kept_bytes or 0) > (facts.cap_bytes or 0):
        return said  # not twice, where it goes up and down around the half
    return replace(said, wal=level)


def describe_half(primary: str, secondary: str, kept_bytes: int | None, cap_bytes: int | None) -> str:
    kept, cap = format_bytes(kept_bytes or 0), format_bytes(cap_bytes or 0)
    return (
        f"{primary} keeps {kept} of WAL for {secondary}, more than half of the {cap} that it keeps at most; past that "
        f"{secondary} needs a fresh copy."
    )


def _expiry(said: Said, facts: Facts, notices: list[Notice]) -> Said:
    soon = tuple(sorted(name for name, at in facts.expiries.items() if at - facts.at < EXPIRY_S))
    for name in soon:
        if name not in said.expiring:
            days = (facts.expiries[name] - facts.at) / 86400
            when = f"expires in {days:.0f} days" if days >= 1 else "expires today" if days > 0 else "has expired"
            advice = "Run duet.backup_ha.certificates; with a new one, if it is one of your own."
            message = f"The {name} of {facts.node} {when}. {advice}"
            notices.append(
                Notice("certificate_expires", message, {"certificate": name, "expires": facts.expiries[name]})
            )
    return replace(said, expiring=soon)


def _left_over(said: Said, facts: Facts, notices: list[Notice]) -> Said:
    record = facts.left_over
    if not record:
        return replace(said, left_over="")
    if record["id"] != said.left_over:
        message = f"The {record['kind']} that {record['by']} began was interrupted. Run it again to finish it."
        details = {"operation": record["id"], "what": record["kind"], "outcome": "interrupted", "reasons": []}
        notices.append(Notice("operation_ended", message, details))
    return replace(said, left_over=record["id"])
