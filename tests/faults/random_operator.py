"""The operator of a random run: she looks at status, does what it names, and is done when the cluster is in order."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.random_advice import ALONE, PLAY, UNKNOWN, WAIT, Advice, advice, higher
from tests.scenarios.cluster import faults, sound_primary
from tests.scenarios.support import NODES, PEER, Lab

BY_ITSELF_S = 8.0  # before she looks for the first time
LIMIT_S, LOOKS_APART_S = 240.0, 3.0
COMMANDS = 8
_LEFT = re.compile(r"The operation '(\w+)' by \S+ is running")
# Bacula's packages bring a job for every night, which waits for a storage daemon that is not there.
CUT_OFF = ("-e", "backup_ha_on_busy=cancel")
Say = Callable[[str], None]


class FindingError(AssertionError):
    """The run has found something: in the product, or in itself."""


@dataclass
class Operator:
    """`old`: who was the primary when the trouble began; `patient`: she acts on what status has said twice."""

    lab: Lab
    old: str
    patient: bool
    say: Say
    commands: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    alone: bool = True  # whether the cluster came into order by itself

    def restore(self) -> str:
        """Follow status until everything is in order, and return the primary. Raises FindingError."""
        self.alone = self._by_itself() and self.alone
        last: Advice | None = None
        while True:
            sound = sound_primary(self.lab)
            found = self._status()
            if sound and found["verdict"] == "healthy":
                return sound
            if time.monotonic() - self.began > LIMIT_S:
                raise FindingError(
                    f"not in order {LIMIT_S:.0f} s after everything was mended: {faults(self.lab)}; status says "
                    f"{found['verdict']}: {found['reasons']}, next: {found['next']}"
                )
            step = self._understand(found)
            if step.kind == WAIT or (self.patient and step != last):
                last = step
                time.sleep(LOOKS_APART_S)
                continue
            self._do(step, found)
            last = None

    def again(self, playbook: str) -> None:
        """Run a playbook that was killed once more, as the manual says, before she looks at anything."""
        self.alone = False
        self._play(playbook, None)

    def _by_itself(self) -> bool:
        while time.monotonic() - self.began < BY_ITSELF_S:
            if sound_primary(self.lab):
                return True
            time.sleep(0.5)
        return False

    def _status(self) -> dict[str, Any]:
        outcome = self.lab.play("status", "-e", "backup_ha_output=json", timeout=60)
        (found,) = outcome.document["clusters"]
        self.say(f"status: {found['verdict']}; next: {found['next']}; {' '.join(found['reasons'])[:300]}")
        return dict(found)

    def _understand(self, found: dict[str, Any]) -> Advice:
        if found["verdict"] in ("split", "unassembled"):
            raise FindingError(f"status says {found['verdict']}: {found['reasons']}")
        step = advice(found["next"])
        left = _LEFT.search(" ".join(found["reasons"]))
        if step.kind == WAIT and left and not self.patient:
            # She knows that nothing of hers runs, and need not wait until status does.
            step = Advice(PLAY, left[1])
        if step.kind == UNKNOWN:
            raise FindingError(f"status names what nobody can follow: {step.what}")
        return step

    def _do(self, step: Advice, found: dict[str, Any]) -> None:
        if len(self.commands) >= COMMANDS:
            raise FindingError(f"not in order after {COMMANDS} commands that status named: {self.commands}")
        self.commands.append(str(step))
        if step.kind == PLAY:
            self._play(step.what, found["primary"])
            return
        where, what = step.where, step.what
        if step.kind == ALONE:
            where, what = (higher(_positions(found)),), "backup-ha resume --alone"
        for node in where:
            said = self.lab.sh(node, f"timeout 60 {what} 2>&1", check=False)
            self.say(f"she ran on {node} {what}: {' '.join(said.split())[:200] or 'no answer'}")

    def _play(self, playbook: str, primary: str | None) -> None:
        gone = PEER[primary] if primary else self.old
        options = ("-e", f"backup_ha_failover_confirmed={gone}") if playbook == "failover" else ()
        options = CUT_OFF if playbook == "switchover" else options
        outcome = self.lab.play(playbook, *options, timeout=150)
        self.say(f"she ran {playbook}: code {outcome.code} after {outcome.seconds:.0f} s")


def _positions(found: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Timeline and position of each node as status tells them."""
    positions = {}
    for node in NODES:
        database = ((found["nodes"] or {}).get(node) or {}).get("postgresql") or {}
        high, _slash, low = (database.get("lsn") or database.get("replay_lsn") or "0/0").partition("/")
        positions[node] = (int(database.get("timeline") or 0), (int(high, 16) << 32) + int(low, 16))
    return positions
