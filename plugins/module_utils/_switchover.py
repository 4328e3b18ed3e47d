# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a switchover may begin, and what it will cost. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._config import PRIMARY_TARGET, REPLICATION_ROLE, slot_name
from ._forecast import Forecast, forecast_of, forecast_refusals
from ._lsn import format_bytes
from ._parameters import describe_too_small
from ._standby_health import fork_of

ROOM_BYTES = 512 * 1024 * 1024
# What a message takes on its way counts as a difference of the clocks, too.
CLOCK_S = 5.0


@dataclass(frozen=True)
class Limits:
    """What the operator allows: bytes of WAL that the secondary may be behind, WAL files that wait for archiving,
    whether running jobs may be cut off and others' streams ended, and seconds without a writer and for everything."""

    lag_bytes: int = 16 * 1024 * 1024
    archive_waiting: int = 16
    cancel_jobs: bool = False
    end_streams: bool = False
    timeout: float = 30.0
    deadline: float = 300.0


def interrupted_target(nodes: dict[str, dict[str, Any] | None]) -> str | None:
    """The node that a switchover was to make primary and has, before it was interrupted: the rest is to be finished.

    An interrupted one that had not come so far needs no finishing; the next one begins where everything stands.
    """
    writers = [name for name, node in nodes.items() if node and node["role"] == "primary"]
    for node in nodes.values():
        record = node and node["operation"]
        if record and record["kind"] == "switchover" and writers == [record.get("target")]:
            return writers[0]
    return None


def roles(nodes: dict[str, dict[str, Any] | None]) -> tuple[str | None, str | None]:
    """The names of the giving and the receiving node; a stopped former primary still gives (it was interrupted)."""
    target = interrupted_target(nodes)
    if target:
        return next((name for name in nodes if name != target), None), target
    writers = [name for name, node in nodes.items() if node and node["role"] == "primary"]
    standbys = [name for name, node in nodes.items() if node and node["role"] == "secondary"]
    if not writers:
        writers = [name for name, node in nodes.items() if node and _is_interrupted_giver(node)]
    giver = writers[0] if len(writers) == 1 else None
    return giver, next((name for name in standbys if name != giver), None)


def forecast(nodes: dict[str, dict[str, Any] | None]) -> Forecast | None:
    """How long the stop will take; None when nothing was measured, or nothing is left to be stopped."""
    giver, taker = roles(nodes)
    if giver is None or taker is None or interrupted_target(nodes):
        return None
    first, second = nodes[giver] or {}, nodes[taker] or {}
    accepting = first.get("role") == "primary" and first["postgresql"]["accepting"]
    return forecast_of(first, second, REPLICATION_ROLE) if accepting and first.get("stop") else None


def foreign_streamers(node: dict[str, Any]) -> list[str]:
    """Who streams WAL from a node besides the cluster."""
    senders = node["postgresql"].get("senders", [])
    return sorted({s["application_name"] or s["user"] for s in senders if s["user"] != REPLICATION_ROLE})


def _is_interrupted_giver(node: dict[str, Any]) -> bool:
    control = node["postgresql"].get("control")
    return node["role"] == "stopped" and bool(control) and control["state"] == "shut down"


def refusals(nodes: dict[str, dict[str, Any] | None], limits: Limits = Limits()) -> list[str]:
    """Every reason why a switchover must not begin, as sentences; none when it may."""
    reasons = [
        f"{name} does not answer over SSH; a switchover needs both nodes." for name, node in nodes.items() if not node
    ]
    reasons += [
        f"{name} is no node of a cluster yet; assemble it first (duet.backup_ha.assemble)."
        for name, node in nodes.items()
        if node and not node["assembled"]
    ]
    if reasons:
        return reasons
    giver, taker = roles(nodes)
    if giver is None:
        states = ", ".join(f"{name} is {node['role']}" for name, node in nodes.items() if node)
        return [f"A switchover needs exactly one primary, and there is none or more than one ({states})."]
    if taker is None:
        other = next(name for name in nodes if name != giver)
        state = (nodes[other] or {}).get("role", "gone")
        return [f"{other} is {state}; a switchover needs a secondary that follows {giver}."]
    first, second = nodes[giver] or {}, nodes[taker] or {}
    shut = [
        f"PostgreSQL on {n} lets nobody in: {o['postgresql']['problem']}"
        for n, o in ((giver, first), (taker, second))
        if o["role"] != "stopped" and not o["postgresql"]["accepting"]
    ]
    if shut:
        return shut
    other_history = [] if interrupted_target(nodes) else _other_history(giver, first, taker, second)
    if first["role"] == "stopped" or interrupted_target(nodes):
        return _identity(giver, first, taker, second) + other_history
    reasons = (
        _identity(giver, first, taker, second)
        + (other_history or _replication(giver, first, taker, second, limits))
        + _surroundings(giver, first, taker, second, limits)
        + _next_primary(taker, second)
    )
    expected = forecast(nodes)
    # What would take long for one of these reasons is said already.
    return reasons or (forecast_refusals(expected, limits.timeout, limits.deadline) if expected else [])


def _identity(giver: str, first: dict[str, Any], taker: str, second: dict[str, Any]) -> list[str]:
    ours = (first["postgresql"]["control"] or {}).get("system_identifier")
    theirs = (second["postgresql"]["control"] or {}).get("system_identifier")
    if ours != theirs:
        return [f"{taker} is not a standby of {giver}: its system identifier is {theirs}, {giver}'s is {ours}."]
    return []


def _other_history(giver: str, first: dict[str, Any], taker: str, second: dict[str, Any]) -> list[str]:
    """Promoted from another history than the primary's, the secondary would lack what was written since they parted.

    It may stream all the same: one with a fork does so for moments, up to the fork, and its lag is small.
    """
    rejoin = "ansible-playbook duet.backup_ha.rejoin"
    fork = fork_of(second, first)
    if fork:
        size = format_bytes(fork[1] - fork[0])
        return [
            f"{taker} has {size} of WAL that {giver} never got, and can't follow with it. Rejoin it first: {rejoin}."
        ]
    receiver = second["postgresql"].get("receiver") or {}
    receives, writes = receiver.get("timeline"), first["postgresql"].get("timeline")
    if receiver.get("status") == "streaming" and writes and receives != writes:
        return [
            f"{taker} receives timeline {receives}, and {giver} writes timeline {writes}. Wait until {taker} has "
            f"caught up; if it does not, rejoin it: {rejoin}."
        ]
    return []


def _replication(giver: str, first: dict[str, Any], taker: str, second: dict[str, Any], limits: Limits) -> list[str]:
    receiver = second["postgresql"].get("receiver")
    if not receiver or receiver["status"] != "streaming":
        status = receiver["status"] if receiver else "not running"
        return [
            f"{taker} does not stream from {giver} (its receiver is {status}), and a switchover needs a secondary "
            f"that does. PostgreSQL's log on {taker} says why."
        ]
    reasons = describe_too_small(taker, second["postgresql"])
    if receiver["slot"] != slot_name(taker):
        reasons.append(f"{taker} streams through the slot {receiver['slot']!r} instead of {slot_name(taker)!r}.")
    lag = second["postgresql"].get("lag_bytes")
    sent = [
        s["lag_bytes"]
        for s in first["postgresql"]["senders"]
        if s["user"] == "backup_ha" and s["lag_bytes"] is not None
    ]
    behind = max([lag or 0, *sent])
    if behind > limits.lag_bytes:
        reasons.append(
            f"{taker} is {format_bytes(behind)} behind {giver}; {format_bytes(limits.lag_bytes)} are allowed "
            "(backup_ha_max_lag_bytes). Wait until it has caught up."
        )
    return reasons


def _next_primary(taker: str, second: dict[str, Any]) -> list[str]:
    """What the secondary's machine lacks to be the primary."""
    reasons = []
    database = second["postgresql"]
    free = database.get("free_bytes")
    if free is not None and free < ROOM_BYTES:
        reasons.append(
            f"{taker} has {format_bytes(free)} left where {database['data_directory']} is, and a primary needs at "
            f"least {format_bytes(ROOM_BYTES)}. Make room there."
        )
    ahead = (database.get("receiver") or {}).get("clock_s")
    if ahead is not None and abs(ahead) > CLOCK_S:
        word = "ahead of" if ahead > 0 else "behind"
        reasons.append(f"The clock of {taker} is {abs(ahead):.0f} s {word} the primary's. Set it right first.")
    return reasons


def _jobs(giver: str, first: dict[str, Any]) -> list[str]:
    if first.get("jobs"):
        return [
            f"Jobs run on {giver} ({first['jobs']}), and a switchover would cut them off. Wait until they have ended, "
            "or allow it with backup_ha_on_busy: cancel."
        ]
    if first.get("jobs_unknown"):
        return [
            f"The workload on {giver} runs and does not say how many jobs it has, and a switchover would cut them off. "
            "Make it answer, or allow it with backup_ha_on_busy: cancel."
        ]
    return []


def _surroundings(giver: str, first: dict[str, Any], taker: str, second: dict[str, Any], limits: Limits) -> list[str]:
    reasons = [] if limits.cancel_jobs else _jobs(giver, first)
    archive = first["postgresql"]["archive"]
    if archive["mode"] != "off" and archive["failing"]:
        reasons.append(
            f"WAL archiving fails on {giver} (last at {archive['last_failed_wal']}); its stop would wait for it. "
            "Mend the archiving first."
        )
    elif archive["mode"] != "off" and archive["waiting"] > limits.archive_waiting:
        reasons.append(
            f"{archive['waiting']} WAL files wait for archiving on {giver}, and its stop would wait for them; "
            f"{limits.archive_waiting} are allowed (backup_ha_max_archive_waiting). Wait until they are archived."
        )
    foreign = foreign_streamers(first)
    if foreign and not limits.end_streams:
        reasons.append(
            f"Others stream WAL from {giver} and would delay its stop: {', '.join(foreign)}. End them first, or allow "
            "it with backup_ha_on_foreign_streamers: end."
        )
    if second["endpoint"]["held"]:
        reasons.append(
            f"The secondary {taker} has the endpoint {second['endpoint']['address']}; only the primary may have it. "
            "Take it away there: backup-ha endpoint drop."
        )
    if not first["endpoint"]["held"]:
        reasons.append(
            f"The primary {giver} does not have the endpoint {first['endpoint']['address']}. "
            f"Start what serves there: systemctl start {PRIMARY_TARGET}."
        )
    ours, theirs = first["versions"]["workload"], second["versions"]["workload"]
    if ours and theirs and ours != theirs:
        reasons.append(
            f"The workload's versions differ: {giver} has {ours}, {taker} has {theirs}. Install the same on both."
        )
    return reasons
