# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last events, from this node's copy of the cluster's database and from what is still on its way there."""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import _spool
from ._config import NodeConfig
from ._errors import BackupHaError
from ._event_text import latest, line_of
from ._events import document
from ._postgres import SessionError, connect_cluster_database, one, rows

if TYPE_CHECKING:
    import argparse

MOST = 50
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_EVENTS = """
SELECT id::text, extract(epoch FROM at)::float AS at, kind, severity, node, message, details::text
  FROM backup_ha.event WHERE at >= to_timestamp(%s) ORDER BY at DESC LIMIT %s"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.add_argument("--since", metavar="WHEN", help="how long ago (15m, 2h, 7d), or a date (and time)")
    parser.add_argument("--limit", type=int, default=MOST, metavar="N", help="the last so many (%(default)s)")


def run_command(config: NodeConfig, as_json: bool, since: str | None, limit: int) -> int:
    """List the events, the last one last."""
    found = read_events(config, max(1, limit), parse_since(since, time.time()) if since else 0.0)
    if as_json:
        sys.stdout.write(json.dumps([document(event) for event in found], indent=2) + "\n")
    for event in [] if as_json else found:
        sys.stdout.write(f"{line_of(event)}\n")
    return 0


def read_events(config: NodeConfig, limit: int, since: float = 0.0) -> list[dict[str, Any]]:
    """The latest ones, the last one last. Where the database does not answer, only those that are on their way."""
    found = {event["id"]: event for event in map(_spool.read, _spool.waiting()) if event and event["at"] >= since}
    for row in _from_database(config, limit, since):
        found[row["id"]] = {**row, "cluster": config.cluster, "details": json.loads(row["details"])}
    return latest(list(found.values()), limit)


def _from_database(config: NodeConfig, limit: int, since: float) -> list[dict[str, Any]]:
    try:
        with connect_cluster_database(config.postgresql) as connection:
            if one(connection, "SELECT to_regclass('backup_ha.event') IS NULL"):
                return []
            return rows(connection, _EVENTS, since, limit)
    except (BackupHaError, SessionError):
        return []


def parse_since(text: str, now: float) -> float:
    """Epoch seconds. BackupHaError for what is no time.

    >>> parse_since("2h", 10000.0)
    2800.0
    >>> parse_since("1970-01-02 00:00:00+00:00", 0.0)
    86400.0
    """
    ago = re.fullmatch(r"(\d+)([smhd])", text)
    if ago:
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise BackupHaError(
            f"'{text}' is no time. Write how long ago (90s, 15m, 2h, 7d) or when (2026-11-23, 2026-11-23T08:30)."
        ) from error
