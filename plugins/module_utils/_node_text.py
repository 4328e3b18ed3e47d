# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node's state in the words of the on-node command. No I/O."""

from __future__ import annotations

from typing import Any

from ._auto_rejoin_health import rejoin_reasons
from ._event_text import line_of
from ._file_command import describe_diff


def describe_node(observed: dict[str, Any]) -> list[str]:
    """The lines of `backup-ha status`; ``observed`` is what observe_node() gives."""
    node, events = observed["node"], [line_of(event) for event in observed.get("events") or []]
    return [
        f"{node} of cluster {observed['cluster'] or '(none)'}: {observed['role']}",
        *(
            f"  {line}"
            for line in (
                *_describe_database(observed),
                *(f"{unit}: {state['active']}" for unit, state in observed["services"].items()),
                *describe_diff(node, observed.get("files") or {"drift": [], "problems": {}}),
                *(["last events:"] if events else []),
                *(f"  {event}" for event in events),
            )
        ),
    ]


def _describe_database(observed: dict[str, Any]) -> list[str]:
    database = observed["postgresql"]
    lines = [f"timeline {database.get('timeline', '-')}, position {database.get('lsn', '-')}"]
    if database.get("problem"):
        lines.append(database["problem"])
    if observed.get("waits"):
        lines.append(f"waits: {observed['waits']}")
        lines.append("If the other node is lost and switched off: backup-ha resume --alone")
    if observed.get("unusable"):
        lines.append("A rewind was interrupted, and PostgreSQL must not start: backup-ha rejoin")
    streams = (database.get("receiver") or {}).get("status") == "streaming"
    lines += rejoin_reasons(observed["node"], observed, needed=not streams)
    if database.get("outvoted"):
        lines.append(
            f"left behind by timeline {database['outvoted']['timeline']} of the other node, which has newer data"
        )
    return lines
