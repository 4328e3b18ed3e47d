"""The records that the measuring processes leave behind, one JSON array a line."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar


class Outcome(StrEnum):
    """What came of one write."""

    ACCEPTED = "accepted"  # the server acknowledged the commit
    REFUSED = "refused"  # the server answered that it did not do it
    UNREACHABLE = "unreachable"  # not sent: there was no connection
    DOUBT = "doubt"  # sent and never answered: it may or may not be there
    BROKEN = "broken"  # the measuring is at fault (password, missing table …)


@dataclass(frozen=True)
class Attempt:
    """One numbered write through the endpoint; a number is never sent twice."""

    number: int
    started: float
    ended: float
    outcome: Outcome
    note: str = ""


@dataclass(frozen=True)
class Connect:
    """One reconnection of the writer: how long, how many tries, how many of them met silence."""

    started: float
    ended: float
    tries: int
    silent: int
    note: str = ""


@dataclass(frozen=True)
class Probe:
    """One write tried directly on a node; `timeline` is known only for an accepted one."""

    node: str
    timeline: int | None
    started: float
    finished: float
    outcome: Outcome
    note: str = ""


Record = Attempt | Connect | Probe
_KINDS: dict[str, type[Attempt] | type[Connect] | type[Probe]] = {
    kind.__name__: kind for kind in (Attempt, Connect, Probe)
}
R = TypeVar("R", Attempt, Connect, Probe)


def encode(record: Record) -> str:
    """A record as one line of text, with its line end."""
    return json.dumps([type(record).__name__, *astuple(record)], separators=(",", ":")) + "\n"


def decode(line: str) -> Record:
    """The record in a line; ValueError if it is none."""
    try:
        name, *fields = json.loads(line)
        kind = _KINDS[name]
        if kind is not Connect:
            position = list(kind.__dataclass_fields__).index("outcome")
            fields[position] = Outcome(fields[position])
        return kind(*fields)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"not a record: {line.strip()[:80]!r}") from error


def read(path: Path, kind: type[R]) -> list[R]:
    """All records of one kind in a file, in the order in which they were written."""
    with path.open(encoding="utf-8") as lines:
        records = [decode(line) for line in lines]
    return [record for record in records if isinstance(record, kind)]
