# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failover would lose: WAL of the old primary that is missing here, as far as anybody can know. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ._lsn import format_bytes, format_lsn, lsn_distance, parse_lsn

ASYNCHRONOUS_BOUND = 16 * 1024 * 1024


@dataclass(frozen=True)
class Loss:
    """WAL of the primary that is missing here, as far as anybody can know.

    ``exact``: the primary's own last position is known; else ``missing_bytes`` is the least that is missing, None when
    nothing is known. ``heard`` (epoch seconds) is when the primary was last heard from. ``synchronous``: whatever it
    acknowledged is here, so what is missing was promised to nobody.
    """

    missing_bytes: int | None
    exact: bool
    heard: float | None
    silent_s: float | None
    synchronous: bool
    limit_bytes: int


def seen_by_ssh(evidence: dict[str, Any]) -> dict[str, Any] | None:
    """The old primary as the control node saw it over SSH, when it let itself be seen."""
    control = evidence["control"]
    return (control.get("primary") or None) if control else None


def control_file(evidence: dict[str, Any]) -> dict[str, Any] | None:
    seen = seen_by_ssh(evidence)
    return seen["postgresql"].get("control") if seen else None


def estimate_loss(evidence: dict[str, Any], wanted: int | None) -> Loss:
    """How much of what the primary wrote is missing here. ``wanted`` is the operator's bound, None for the default."""
    local = evidence["local"]
    missing, exact = _missing(evidence)
    heard = max((at for at in (local["last_message"], local["last_wal"]) if at), default=None)
    limit = wanted if wanted is not None else 0 if local["synchronous"] else ASYNCHRONOUS_BOUND
    return Loss(
        missing_bytes=missing,
        exact=exact,
        heard=heard,
        silent_s=max(0.0, round(evidence["began"] - heard, 1)) if heard else None,
        synchronous=local["synchronous"],
        limit_bytes=limit,
    )


def _missing(evidence: dict[str, Any]) -> tuple[int | None, bool]:
    local, there = evidence["local"], evidence["there"]
    if there["session"] == "standby" and there.get("timeline") == local["timeline"] and there.get("lsn"):
        return lsn_distance(there["lsn"], local["received"]), True
    control = control_file(evidence)
    if control and control["state"] == "shut down" and control["timeline"] == local["timeline"]:
        # The shutdown checkpoint is the last record; nothing of the clients' comes after it.
        return lsn_distance(control["checkpoint_lsn"], local["received"]), True
    known = [local["latest_end"], control and control["checkpoint_lsn"]]
    told = [parse_lsn(lsn) for lsn in known if lsn]
    return (lsn_distance(format_lsn(max(told)), local["received"]), False) if told else (None, False)


def refused_by_loss(evidence: dict[str, Any], loss: Loss) -> list[str]:
    if loss.synchronous:  # what is missing was promised to nobody
        return []
    option = "--max-loss-bytes, in the playbook backup_ha_max_loss_bytes"
    if loss.missing_bytes is not None and loss.missing_bytes > loss.limit_bytes:
        least = "" if loss.exact else "at least "
        return [
            f"Of what {evidence['peer']} wrote, {least}{loss.missing_bytes} bytes ({format_bytes(loss.missing_bytes)}) "
            f"are missing on {evidence['node']}; {loss.limit_bytes} may be lost ({option})."
        ]
    if not loss.exact and loss.limit_bytes == 0:
        return [
            f"Nothing may be lost ({option}), and what {evidence['peer']} wrote last can't be known: replication is "
            "asynchronous, or the primary may have gone on alone."
        ]
    return []


def describe_loss(peer: str, node: str, loss: Loss) -> list[str]:
    if loss.missing_bytes:
        least = "at least " if not loss.exact else ""
        lines = [f"Missing on {node}: {least}{loss.missing_bytes} bytes of WAL ({format_bytes(loss.missing_bytes)})."]
    elif loss.exact:
        lines = [f"Nothing that {peer} wrote is missing on {node}."]
    else:
        lines = [f"{node} has everything that {peer} is known to have written."]
    if loss.synchronous:
        return [*lines, f"What {peer} acknowledged is on {node}: commits waited for it."]
    if loss.exact:
        return lines
    if loss.heard is None:
        return [*lines, f"When {node} last heard from {peer} is unknown, and so is what that accepted since."]
    at = time.strftime("%H:%M:%S", time.localtime(loss.heard))
    return [*lines, f"What {peer} accepted after {at} ({loss.silent_s:.0f} s ago) can't be known."]
