# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's status as a table for a terminal of 80 columns. Pure."""

from __future__ import annotations

import textwrap
from typing import Any

from ._event_text import latest, line_of
from ._lsn import format_bytes
from ._verdict import Verdict

WIDTH = 80
EVENTS = 5
HEADER = ("NODE", "ROLE", "TL", "LSN", "LAG", "STREAM", "ENDPOINT", "SERVICES")


def render(verdict: Verdict, nodes: dict[str, dict[str, Any] | None]) -> str:
    """The verdict, a line per node, the reasons and what to do next."""
    rows = [HEADER, *(_row(name, nodes[name]) for name in sorted(nodes))]
    rows = _narrow(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [f"Cluster {verdict.cluster}: {verdict.verdict.upper()}", ""]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if verdict.reasons:
        lines += ["", *(_wrap("- ", reason) for reason in verdict.reasons)]
    if verdict.next:
        lines += ["", _wrap("Next: ", verdict.next)]
    events = latest([event for node in nodes.values() for event in (node or {}).get("events") or []], EVENTS)
    if events:
        lines += ["", "Last events:", *(_wrap("- ", line_of(event)) for event in events)]
    return "\n".join(lines)


def _narrow(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Shorten the first column where the table would be too wide; names differ at their beginning."""
    rest = sum(max(len(row[column]) for row in rows) + 2 for column in range(1, len(HEADER)))
    room = max(8, WIDTH - rest)
    return [(row[0] if len(row[0]) <= room else f"{row[0][: room - 1]}…", *row[1:]) for row in rows]


def _wrap(head: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False)


def _row(name: str, node: dict[str, Any] | None) -> tuple[str, ...]:
    if not node:
        return (name, "no answer", *("-" for _column in HEADER[2:]))
    database = node["postgresql"]
    lag = database.get("lag_bytes")
    return (
        name,
        node["role"],
        str(database.get("timeline") or "-"),
        database.get("lsn") or "-",
        "-" if lag is None or node["role"] != "secondary" else format_bytes(lag),
        _stream(node),
        "-" if not node["endpoint"] else "here" if node["endpoint"]["held"] else "no",
        _services(node),
    )


def _stream(node: dict[str, Any]) -> str:
    database = node["postgresql"]
    if node["role"] == "secondary":
        return database["receiver"]["status"] if database.get("receiver") else "none"
    senders = [s for s in database.get("senders", []) if s["user"] == "backup_ha"]
    return senders[0]["state"] if senders else "-"


def _services(node: dict[str, Any]) -> str:
    units = {unit: state["active"] for unit, state in node["services"].items() if unit.endswith(".service")}
    workload = [state for unit, state in units.items() if not unit.startswith(("postgresql@", "backup-ha-"))]
    if not workload:
        return "-"
    return f"{workload.count('active')} of {len(workload)} run"
