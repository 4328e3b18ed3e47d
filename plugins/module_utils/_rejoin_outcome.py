# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a rejoin went, and how that is told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ._config import NodeConfig
from ._fork import Fork
from ._lsn import format_bytes, format_lsn


@dataclass
class Outcome:
    """What was done, or would be; ``fork`` is the folder that holds what only this node had."""

    steps: list[str]
    fork: str = ""
    lost: Fork | None = None
    why_copied: str = ""
    took: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def changed(self) -> bool:
        """Waiting until a standby that runs has caught up changes nothing."""
        return bool(set(self.steps) - {"await_streaming"})

    def done(self, step: str) -> None:
        self.took.append({"step": step, "at_s": round(time.monotonic() - self.began, 3)})


def report(config: NodeConfig, outcome: Outcome, check: bool) -> list[str]:
    """The outcome for a person. Pure."""
    lines = []
    lost = outcome.lost
    if lost:
        lines.append(
            f"{config.node}: {format_bytes(lost.bytes)} of WAL with {lost.commits} committed transactions, from "
            f"{format_lsn(lost.begin)} to {format_lsn(lost.end)}, never reached {config.peer}."
        )
    if check:
        said = "would follow by: " + ", ".join(outcome.steps) if outcome.changed else "has nothing to do"
        return [*lines, f"{config.node}: {said}"]
    if outcome.fork:
        lines.append(f"{config.node}: they are kept in {outcome.fork}; read summary.txt there")
    elif lost:
        lines.append(f"{config.node}: they could not be kept and are gone, as was allowed")
    if "copy" in outcome.steps:
        because = f": {outcome.why_copied}" if outcome.why_copied else ""
        lines.append(f"{config.node}: was copied anew{because}")
    return [*lines, f"{config.node}: follows {config.peer}"]
