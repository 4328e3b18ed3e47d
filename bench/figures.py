"""Figures of several runs, and the machine they were taken on."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

Figure = dict[str, float | int | str]


def figure(values: Sequence[float], unit: str) -> Figure:
    """Median, minimum and maximum of at least one value."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "n": len(values),
        "unit": unit,
    }


def table(figures: dict[str, Figure]) -> list[str]:
    """Lines for a person."""
    lines = [f"{'figure':<28} {'median':>9} {'min':>9} {'max':>9}  n"]
    for name, found in figures.items():
        values = " ".join(f"{found[key]:>9}" for key in ("median", "min", "max"))
        lines.append(f"{name:<28} {values}  {found['n']} {found['unit']}")
    return lines


def machine(postgresql: str, busy: float) -> dict[str, str | int | float]:
    """Describe where the figures come from. `busy` is the load average before, 0 on an idle machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count() or 0,
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text(encoding="utf-8")),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "busy_before": round(busy, 1),
        "postgresql": postgresql,
    }


def cpu_model(cpuinfo: str) -> str:
    """Find the processor's name in /proc/cpuinfo."""
    names = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()
