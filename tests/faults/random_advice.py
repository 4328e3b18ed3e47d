"""What an operator does who follows the last line of status. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

WAIT, PLAY, COMMAND, ALONE, UNKNOWN = "wait", "play", "command", "alone", "unknown"


@dataclass(frozen=True)
class Advice:
    """`what` is a playbook's name, or the command for the nodes `where`."""

    kind: str
    what: str = ""
    where: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" on {' and '.join(self.where)}" if self.where else ""
        return f"{self.what or self.kind}{where}"


_FORMS = (
    # A command on a node that nobody is primary on: only where the journal says that neither node asks.
    (ALONE, re.compile(r"journalctl -u backup-ha-resume says .*: backup-ha resume --alone$")),
    (PLAY, re.compile(r"ansible-playbook duet\.backup_ha\.(?P<what>\w+)\b")),
    (COMMAND, re.compile(r"On (?P<where>\w+): (?P<what>backup-ha resume|systemctl start \S+)$")),
    (COMMAND, re.compile(r"Start PostgreSQL on (?P<where>\w+(?: and \w+)*) \((?P<what>systemctl start \S+)\):")),
    (WAIT, re.compile(r"(Bring \w+ back|Look at|Wait a moment)\b")),
)


def advice(said: str | None) -> Advice:
    """Understand what status names next. Whatever is not understood is a finding: an operator would not, either."""
    if not said:
        return Advice(WAIT)
    for kind, form in _FORMS:
        if found := form.match(said):
            parts = found.groupdict()
            where = tuple(parts["where"].split(" and ")) if parts.get("where") else ()
            return Advice(kind, parts.get("what") or "", where)
    return Advice(UNKNOWN, said)


def higher(positions: dict[str, tuple[int, int]]) -> str:
    """The node with the higher timeline and position."""
    return max(sorted(positions), key=lambda node: positions[node])
