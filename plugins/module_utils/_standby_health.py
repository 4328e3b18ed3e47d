# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the secondary of a cluster that has a primary. Pure."""

from __future__ import annotations

from typing import Any

from ._auto_rejoin_health import is_rejoining
from ._config import slot_name
from ._lsn import format_bytes, format_lsn, parse_lsn
from ._parameters import describe_too_small
from ._timeline import Stretch, parted

LAG_LIMIT_BYTES = 16 * 1024 * 1024


def secondary_reasons(
    primary: str, writer: dict[str, Any], secondary: str | None, node: dict[str, Any] | None, silence: str
) -> list[str]:
    """``silence`` says why there is no observation of the secondary."""
    if secondary is None:
        return ["The cluster has no second node."]
    if not writer["postgresql"]["accepting"]:
        return [] if node else [silence]
    reasons = []
    slot = next((s for s in writer["postgresql"].get("slots", []) if s["name"] == slot_name(secondary)), None)
    if slot is None:
        reasons.append(f"{primary} has no replication slot for {secondary}.")
    elif slot["wal_status"] == "lost":
        reasons.append(f"{primary} no longer has the WAL that {secondary} needs; it needs a fresh copy.")
    if node is None:
        connected = any(s["user"] == "backup_ha" for s in writer["postgresql"].get("senders", []))
        return [f"{silence.removesuffix('.')}, but still streams." if connected else silence, *reasons]
    return reasons + _standby_reasons(primary, writer, secondary, node)


def _standby_reasons(primary: str, writer: dict[str, Any], secondary: str, node: dict[str, Any]) -> list[str]:
    database = node["postgresql"]
    fork = fork_of(node, writer)
    reasons = []
    if node.get("unusable") and not is_rejoining(node):
        reasons.append(f"A rewind of {secondary} was interrupted, and its data can't be used.")
    elif fork:
        size = format_bytes(fork[1] - fork[0])
        where = f"from {format_lsn(fork[0])} to {format_lsn(fork[1])}"
        reasons.append(f"{secondary} has {size} of WAL that {primary} never got, {where}, and can't follow with it.")
    reasons += describe_too_small(secondary, database)
    if node["role"] == "stopped":
        return [f"PostgreSQL is stopped on the secondary {secondary}.", *reasons]
    if database.get("system_identifier") not in (None, writer["postgresql"].get("system_identifier")):
        reasons.append(f"{secondary} is not a copy of {primary}: their system identifiers differ.")
    receiver = database.get("receiver")
    if not fork and (not receiver or receiver["status"] != "streaming"):
        reasons.append(f"{secondary} does not stream from {primary}.")
    lag = database.get("lag_bytes")
    if lag is not None and lag > LAG_LIMIT_BYTES:
        reasons.append(f"{secondary} is {format_bytes(lag)} behind {primary}.")
    if node["endpoint"] and node["endpoint"]["held"]:
        reasons.append(f"{secondary} has the endpoint {node['endpoint']['address']} as well.")
    for unit, state in sorted(node["services"].items()):
        if unit.startswith("postgresql@") or state["active"] not in ("active", "activating"):
            continue
        reasons.append(f"{unit} runs on the secondary {secondary}.")
    return reasons


def fork_of(node: dict[str, Any], writer: dict[str, Any]) -> tuple[int, int] | None:
    """From where to where this standby's WAL is its own; None when, as far as is known, the writer has all of it."""
    mine, theirs = node["postgresql"], writer["postgresql"]
    receiver = mine.get("receiver") or {}
    same = len({_system_of(mine), _system_of(theirs)} - {None}) <= 1
    follows = receiver.get("status") == "streaming" and receiver.get("timeline") == theirs.get("timeline")
    if not same or follows or not mine.get("past") or not theirs.get("past"):
        return None
    own = [Stretch(**part) for part in mine["past"]]
    since = parted(own, [Stretch(**part) for part in theirs["past"]])
    control = mine.get("control") or {}
    known = [mine.get("lsn"), mine.get("replay_lsn"), control.get("recovery_lsn"), control.get("checkpoint_lsn")]
    end = max((parse_lsn(lsn) for lsn in known if lsn), default=0)
    return (since[0].begin, end) if since and end > since[0].begin else None


def _system_of(database: dict[str, Any]) -> str | None:
    """A server that does not run has only its control file to tell."""
    told: str | None = database.get("system_identifier") or (database.get("control") or {}).get("system_identifier")
    return told
