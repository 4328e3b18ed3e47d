# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which steps make a former primary follow the other node. Pure."""

from __future__ import annotations

from typing import Any

from ._control import CLEAN_WRITER_STOP
from ._errors import RefusedError
from ._lsn import format_bytes

COPY = ["copy", "start"]
REWIND = ["prepare_primary", "stop", "rewind", "start"]
CLEAN_STATES = (CLEAN_WRITER_STOP, "shut down in recovery")
CRASHED_STANDBY = "in archive recovery"
UNCHANGED = "Nothing was changed."


def plan_rejoin(
    local: dict[str, Any], primary: dict[str, Any] | None, fork: dict[str, Any] | None, discard: bool = False
) -> list[str]:
    """The steps that make this node follow the other one. Pure.

    ``local`` holds node, role, streaming, state and system_identifier (of the control file, None without a data
    directory), unusable (a rewind was interrupted), rewindable (pg_rewind can work on it once it is stopped) and
    leftover_slot (a standby keeps WAL for the primary's earlier life);
    ``primary`` (None when it does not answer) holds node, in_recovery, system_identifier and has_wal (all WAL from the
    point where the nodes parted, or from the end of this node's); ``fork`` (None when this node has nothing of its
    own) holds missing, needed_bytes, free_bytes and kept (an earlier run kept it).
    """
    reasons = _refusals(local, primary)
    if reasons or primary is None:
        raise RefusedError(UNCHANGED, reasons)
    # The mark comes first: what was worth keeping was kept before it was written.
    if local["unusable"] or local["system_identifier"] is None:
        return list(COPY)
    if local["system_identifier"] != primary["system_identifier"]:
        raise RefusedError(
            UNCHANGED,
            [
                f"The data directory of {local['node']} is no copy of {primary['node']}'s: their system identifiers "
                "differ. To replace it, run duet.backup_ha.assemble with this host in backup_ha_erase_secondary."
            ],
        )
    tidy = ["drop_slot"] if local["leftover_slot"] else []
    if local["streaming"]:
        return tidy
    if fork is None:
        if not primary["has_wal"]:
            return list(COPY)
        return ["start"] if local["role"] == "stopped" else [*tidy, "await_streaming"]
    reasons = [] if discard or fork["kept"] else _reasons_not_to_keep(local, fork)
    if reasons:
        raise RefusedError(UNCHANGED, reasons)
    keeping = [] if _cannot_be_kept(fork) and not fork["kept"] else ["keep_fork"]
    return [*keeping, *(REWIND if local["rewindable"] and primary["has_wal"] and not fork["missing"] else COPY)]


def _refusals(local: dict[str, Any], primary: dict[str, Any] | None) -> list[str]:
    node = local["node"]
    if local["role"] == "primary":
        if primary and not primary["in_recovery"]:
            return [
                f"Both nodes accept writes. If {node} is the one whose data you give up, stop it first: "
                f"systemctl restart {local['unit']} on {node} makes it read-only."
            ]
        return [f"{node} accepts writes: it is the primary. Run this on the other node."]
    if primary is None:
        return ["The other node does not answer, so there is nobody to follow. Bring it back and run this again."]
    if primary["in_recovery"]:
        return [
            f"{primary['node']} does not accept writes, so there is nobody to follow. "
            "Make one node primary first: backup-ha resume on the node that was."
        ]
    return []


def _cannot_be_kept(fork: dict[str, Any]) -> bool:
    return bool(fork["missing"]) or fork["free_bytes"] < fork["needed_bytes"]


def _reasons_not_to_keep(local: dict[str, Any], fork: dict[str, Any]) -> list[str]:
    way_out = "backup-ha rejoin --discard-fork gives up what can't be kept."
    reasons = []
    if fork["missing"]:
        reasons.append(
            f"{local['node']} has data that the primary never got, and a part of its WAL is gone "
            f"({', '.join(fork['missing'])}), so it can't be kept. {way_out}"
        )
    if fork["free_bytes"] < fork["needed_bytes"]:
        reasons.append(
            f"{local['node']} has data that the primary never got. Keeping its WAL needs "
            f"{format_bytes(fork['needed_bytes'])} below /var/lib/backup-ha, and {format_bytes(fork['free_bytes'])} "
            f"are free. Make room there; or {way_out}"
        )
    return reasons
