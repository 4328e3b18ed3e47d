"""What happens in a random run, computed from its seed beforehand. Pure: the same seed gives the same events.

A run is a sequence of rounds. Each begins with a sound cluster, and its events name the roles that the nodes have then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from random import Random

PRIMARY, SECONDARY = "primary", "secondary"

# What breaks, how often, and for how many seconds it lasts; (0, 0): it is over at once.
FAULTS: dict[str, tuple[int, tuple[float, float]]] = {
    "pause": (4, (1, 20)),  # the node is frozen
    "kill": (4, (1, 15)),  # its power is cut, and its sockets are closed
    "silence": (4, (1, 15)),  # the same, and nobody is told
    "cut": (6, (1, 20)),  # packets are dropped; `detail` says which
    "disk": (2, (3, 12)),  # the server's files grow no more
    "kill_server": (3, (0, 0)),
    "kill_backends": (1, (0, 0)),
    "kill_receiver": (1, (0, 0)),
    "restart": (3, (0, 0)),  # `detail` is the unit
    "clock": (2, (3, 20)),  # it is set; `detail` is by how many seconds
}
# Which packets: from one role's node to the other, both ways, from the control node's SSH, or from clients.
CUTS = ("to the other", "from the other", "both ways", "both ways", "control node", "clients")
UNITS = (
    "postgresql@15-main.service",
    "postgresql@15-main.service",
    "backup-ha-primary.target",
    "backup-ha-endpoint.service",
    "backup-ha-resume.service",
    "bacula-director.service",
    "ssh.service",
)
CLOCKS = ("+2", "-2", "+90", "-90", "+7200", "-7200")
DETAILS = {"cut": CUTS, "restart": UNITS, "clock": CLOCKS}
# What the operator runs: a playbook, or with @ a command on a node.
COMMANDS: dict[str, int] = {
    "": 2,
    "switchover": 6,
    "failover": 2,
    "rejoin": 1,
    "assemble": 1,
    "status": 1,
    "@resume": 1,
    "@rejoin": 1,
    "@failover": 2,
}
BOUNDS = ("", "", "", "0", "1048576")  # of a failover's loss, in bytes; none: the default


@dataclass(frozen=True, order=True)
class Event:
    """`at` and `lasts` are seconds, from the round's beginning and from the event's; `lasts` of a command is when it is
    killed, 0 for never. `who` of a failover is the node that takes over."""

    at: float
    what: str
    who: str = ""
    lasts: float = 0.0
    detail: str = ""

    def __str__(self) -> str:
        words = [self.what, self.detail, self.who]
        return " ".join(word for word in words if word) + (f" ({self.lasts:.1f} s)" if self.lasts else "")


@dataclass(frozen=True)
class Round:
    """`patient`: the operator looks twice before she follows what status says."""

    number: int
    patient: bool
    events: tuple[Event, ...]


def is_playbook(event: Event) -> bool:
    return event.what == "run" and not event.detail.startswith("@")


def steps(events: Iterable[Event]) -> list[tuple[float, bool, Event]]:
    """What to do when: each event, and its end where it has one (then True); a command on a node ends itself."""
    found = [(event.at, False, event) for event in events]
    lasting = [event for event in events if event.lasts and (event.what != "run" or is_playbook(event))]
    return sorted(found + [(round(event.at + event.lasts, 1), True, event) for event in lasting])


def plan(seed: int, count: int) -> list[Round]:
    """The first rounds of a seed's run; a longer run begins with the shorter one's."""
    return list(islice(rounds(seed), count))


def rounds(seed: int) -> Iterator[Round]:
    random = Random(seed)
    number = 0
    while True:
        number += 1
        yield _round(random, number)


def _round(random: Random, number: int) -> Round:
    command = _command(random)
    (faults,) = random.choices((0, 1, 2, 3), (1, 5, 4, 2))
    events = [event for _ in range(faults if command else max(1, faults)) for event in _fault(random)]
    if command:
        events.append(command)
    return Round(number, random.random() < 0.3, tuple(sorted(events)))


def _command(random: Random) -> Event | None:
    (name,) = random.choices(list(COMMANDS), list(COMMANDS.values()))
    at, killed = _seconds(random, 0, 3), _seconds(random, 0.5, 8)
    who = random.choice((PRIMARY, SECONDARY)) if name.startswith("@") else ""
    if name.endswith("failover"):
        who = SECONDARY
    if not name:
        return None
    lasts = killed if random.random() < 0.25 else 0.0
    return Event(at, "run", who, lasts, _bounded(random, name))


def _bounded(random: Random, name: str) -> str:
    bound = random.choice(BOUNDS)
    return f"{name} {bound}" if bound and name.endswith("failover") else name


def _fault(random: Random) -> list[Event]:
    """A fault; and where the primary loses its power, perhaps the failover that follows."""
    (what,) = random.choices(list(FAULTS), [weight for weight, _ in FAULTS.values()])
    least, most = FAULTS[what][1]
    (who,) = random.choices((PRIMARY, SECONDARY), (3, 2))
    event = Event(_seconds(random, 0, 9), what, who, _seconds(random, least, most))
    if what in DETAILS:
        event = replace(event, detail=random.choice(DETAILS[what]))
    if what in ("kill", "silence") and who == PRIMARY and random.random() < 0.7:
        return _failover_after(random, event)
    return [event]


def _failover_after(random: Random, loss: Event) -> list[Event]:
    """The operator takes the primary for lost. Power comes back before, during or long after her failover."""
    failover = _failover(random, SECONDARY, loss.at + _seconds(random, 1, 6))
    off = round(failover.at - loss.at + _seconds(random, -1, 20), 1)
    found = [replace(loss, lasts=max(1.0, off)), failover]
    if random.random() < 0.4:  # what it writes last does not reach the other one
        begin = round(max(0.0, loss.at - _seconds(random, 0.5, 4)), 1)
        found.append(Event(begin, "cut", SECONDARY, round(loss.at - begin + _seconds(random, 0, 8), 1), "both ways"))
    if random.random() < 0.35:  # and then the new one is lost, too
        again = Event(round(failover.at + _seconds(random, 2, 12), 1), loss.what, SECONDARY, _seconds(random, 3, 25))
        found.append(again)
        if random.random() < 0.5:
            found.append(_failover(random, PRIMARY, again.at + _seconds(random, 1, 8)))
    return found


def _failover(random: Random, taker: str, at: float) -> Event:
    name = random.choice(("failover", "@failover"))
    killed = _seconds(random, 0.2, 6) if random.random() < 0.2 else 0.0
    return Event(round(at, 1), "run", taker, killed, _bounded(random, name))


def _seconds(random: Random, least: float, most: float) -> float:
    return round(random.uniform(least, most), 1)
