# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rejoin has to know: this node by its server and its disk, the other one by a session. It only reads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._config import NodeConfig
from ._errors import UnreachableError
from ._fork import Fork, read_fork
from ._fork_copy import kept_before, space_for
from ._lsn import format_lsn, parse_lsn
from ._past import read_past
from ._postgres import Connection, connect_local, control_data, in_recovery, one, postmaster_pid, rows, timeline_of
from ._rejoin_plan import CLEAN_STATES, CRASHED_STANDBY
from ._timeline import Stretch, history_file, parse_history, parted, same_number, segment_name
from ._unusable import is_unusable


@dataclass(frozen=True)
class Facts:
    """``local``, ``primary`` and ``fork_kept`` are as plan_rejoin() takes them; ``fork`` is what only this node has."""

    local: dict[str, Any]
    primary: dict[str, Any] | None
    fork: Fork | None = None
    fork_kept: dict[str, Any] | None = None


def gather(config: NodeConfig, peer: Connection | None, timeout: float) -> Facts:
    """Look at both nodes; ``peer`` is None when the other one does not answer."""
    local = _observe_local(config, timeout)
    primary = _observe_primary(config, peer)
    # One that has a fork streams for moments, up to the fork.
    local["streaming"] = primary is not None and local["receives_on"] == primary["timeline"]
    same = primary is not None and local["system_identifier"] == primary["system_identifier"]
    busy = local["role"] == "primary" or local["unusable"] or local["streaming"]
    if not (peer and primary and same) or primary["in_recovery"] or busy:
        return Facts(local, primary)
    segment_bytes = control_data(config.postgresql).segment_bytes
    past = read_past(config.postgresql.data_directory, local["timeline"], local["known_end"], segment_bytes)
    other = past_of_peer(peer, primary["timeline"])
    since = parted(past, other)
    fork = read_fork(config.postgresql, since, local["known_end"], segment_bytes) if since else None
    local["rewindable"] = local["rewindable"] and not same_number(past, other)
    primary["has_wal"] = has_wal(peer, other, fork.begin if fork else local["known_end"], segment_bytes)
    return Facts(local, primary, fork, _how_kept(fork, segment_bytes) if fork else None)


def _how_kept(fork: Fork, segment_bytes: int) -> dict[str, Any]:
    needed, free = space_for(fork, segment_bytes)
    return {"missing": fork.missing, "needed_bytes": needed, "free_bytes": free, "kept": bool(kept_before(fork))}


def _observe_local(config: NodeConfig, timeout: float) -> dict[str, Any]:
    server = config.postgresql
    there = Path(server.data_directory, "global/pg_control").exists()
    control = control_data(server) if there else None
    facts: dict[str, Any] = {
        "node": config.node,
        "unit": server.unit,
        "role": "stopped",
        "receives_on": 0,
        "leftover_slot": False,
        "unusable": is_unusable(),
        "system_identifier": control.system_identifier if control else None,
        "rewindable": False,
        "timeline": 0,
        "known_end": 0,
    }
    replayed = "0/0"
    session = _local_session(config, timeout)
    if session:
        with session as connection:
            facts["role"] = "secondary" if in_recovery(connection) else "primary"
            replayed = one(connection, "SELECT pg_last_wal_replay_lsn()::text") or "0/0"
            facts["receives_on"] = receives_on(connection)
            query = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s AND NOT active"
            slots = one(connection, query, config.peer_slot)
            facts["leftover_slot"] = facts["role"] == "secondary" and bool(slots)
        control = control_data(server)
    if control:
        facts["timeline"] = max(control.timeline, control.recovery_timeline)
        facts["known_end"] = max(map(parse_lsn, (replayed, control.recovery_lsn, control.checkpoint_lsn)))
        facts["rewindable"] = (control.wal_log_hints or control.checksums) and (
            facts["role"] != "stopped" or control.state in (*CLEAN_STATES, CRASHED_STANDBY)
        )
    return facts


def _local_session(config: NodeConfig, timeout: float) -> Connection | None:
    """Wait for a server that starts; not for one that ends again and again, whose disk has to do."""
    deadline = time.monotonic() + min(timeout, 30.0)
    while postmaster_pid(config.postgresql) is not None and time.monotonic() < deadline:
        try:
            return connect_local(config.postgresql)
        except UnreachableError:
            time.sleep(0.05)
    return None


def _observe_primary(config: NodeConfig, peer: Connection | None) -> dict[str, Any] | None:
    if peer is None:
        return None
    facts: dict[str, Any] = rows(
        peer,
        "SELECT pg_is_in_recovery() AS in_recovery,"
        " (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier",
    )[0]
    return {**facts, "node": config.peer, "timeline": current_timeline(peer), "has_wal": False}


def receives_on(connection: Connection) -> int:
    """The timeline that this standby receives at the moment; 0 when it does not."""
    return int(one(connection, "SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'") or 0)


def current_timeline(connection: Connection) -> int:
    """A writer's timeline is in the name of the segment that it writes, whatever its control file says yet."""
    if in_recovery(connection):
        return control_timeline(connection)
    return timeline_of(connection)


def control_timeline(connection: Connection) -> int:
    return int(one(connection, "SELECT timeline_id FROM pg_control_checkpoint()"))


def past_of_peer(connection: Connection, timeline: int) -> list[Stretch]:
    text = ""
    if timeline > 1:
        content = one(connection, "SELECT pg_read_binary_file(%s)", f"pg_wal/{history_file(timeline)}")
        text = bytes(content).decode()
    return parse_history(text, timeline)


def has_wal(connection: Connection, past: list[Stretch], lsn: int, segment_bytes: int) -> bool:
    """What the primary wrote after this position is still on its disk, under the name of any timeline of its past."""
    if not one(connection, "SELECT pg_current_wal_lsn() > %s::pg_lsn", format_lsn(lsn)):
        return True
    names = [f"pg_wal/{segment_name(stretch.timeline, lsn, segment_bytes)}" for stretch in past]
    query = "SELECT count(s.size) FROM unnest(%s::text[]) AS f(name), LATERAL pg_stat_file(f.name, true) AS s"
    return bool(one(connection, query, names))
