# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a cluster's replicated files. Pure, and without the driver: the control node judges, too."""

from __future__ import annotations

from typing import Any

# What is younger is on its way.
LATE_S = 5.0
NAMED = 3


def file_reasons(nodes: dict[str, dict[str, Any] | None]) -> list[str]:
    """What is wrong with the replicated files, as sentences. Pure."""
    reasons = []
    for name, node in nodes.items():
        files = (node or {}).get("files") or {"drift": [], "problems": {}}
        late = [difference["path"] for difference in files["drift"] if difference["age_s"] >= LATE_S]
        if late:
            reasons.append(f"The replicated files in the stream and on {name} differ: {_listed(late)}.")
        reasons += [f"On {name}: {problem}" for problem in list(files["problems"].values())[:NAMED]]
        if len(files["problems"]) > NAMED:
            reasons.append(f"{len(files['problems']) - NAMED} more files of {name} can't be replicated.")
    return reasons


def has_file_reasons(node: dict[str, Any] | None) -> bool:
    return bool(file_reasons({"": node}))


def _listed(paths: list[str]) -> str:
    more = len(paths) - NAMED
    return ", ".join(paths[:NAMED]) + (f" and {more} more" if more > 0 else "")
