# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a half of a handover has come: what its node wrote down, and what took how long."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

from ._operation import advance


@dataclass
class Progress:
    """Which steps ended, and when, in seconds since the module began."""

    began: float = field(default_factory=time.monotonic)
    steps: list[dict[str, Any]] = field(default_factory=list)
    stopping: bool = False
    forecast: dict[str, Any] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)  # what the forecast speaks of, as it came
    ended: list[str] = field(default_factory=list)  # others' streams

    def begin(self, step: str, regardless: bool = False) -> None:
        """Write down what comes next. A disk that takes no note stops what can be stopped, and nothing else."""
        with suppress(OSError) if regardless else nullcontext():
            advance(step)

    def done(self, step: str) -> None:
        self.steps.append({"step": step, "at_s": round(time.monotonic() - self.began, 4)})

    def measure(self, what: str, began: float) -> None:
        self.took[what] = round(time.monotonic() - began, 3)
