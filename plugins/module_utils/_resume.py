# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that was primary and starts again asks the other one whether it may go on."""

from __future__ import annotations

import random
import sys
import time
from contextlib import suppress
from typing import Any

from ._config import NodeConfig
from ._errors import UnreachableError, problem_of
from ._grant import GRANT, end_down_word, peer_abstains, try_lock, unlock
from ._lsn import parse_lsn
from ._observe import WAITING_PATH, observe_replication, read_waiting
from ._postgres import (
    Connection,
    SessionError,
    connect_local,
    connect_peer,
    drop_slot,
    in_recovery,
    wait_for_session,
)
from ._primary_memory import forget_having_been_primary, was_primary
from ._promotion import promote_here, serve


def decide_resume(
    local: dict[str, Any], peer: dict[str, Any] | None, was_primary: bool, alone: bool, peer_abstains: bool = False
) -> tuple[str, str]:
    """Whether this node may become primary by itself. Pure.

    ``local`` and ``peer`` hold in_recovery, timeline, lsn and system_identifier; peer is None when it does not answer;
    ``alone`` is somebody's word that the other node is not and will not be primary: it counts over silence, and where
    neither was primary; ``peer_abstains`` is the other node's own word that it has no usable copy.
    Returns (decision, why) where the decision is ``serve`` (already the writer), ``promote``, ``follow`` (the other one
    is primary) or ``wait``.
    """
    if not local["in_recovery"]:
        return "serve", "this node accepts writes"
    if peer is None or peer["system_identifier"] != local["system_identifier"]:
        return _decide_without_copy(silent=peer is None, alone=alone, abstains=peer_abstains and was_primary)
    if not peer["in_recovery"]:
        return "follow", "the other node is primary"
    if not was_primary and not alone:
        return "follow", "this node was a secondary when it stopped"
    if peer["timeline"] > local["timeline"]:
        return "wait", f"the other node is on timeline {peer['timeline']}, this one on {local['timeline']}"
    if not peer["lsn"]:
        return "wait", "the other node's position is unknown"
    # WAL of an older timeline was outvoted by the promotion that began this one; only on the same one it counts.
    same = peer["timeline"] == local["timeline"]
    if same and parse_lsn(peer["lsn"]) > parse_lsn(local["lsn"] or local["replay_lsn"] or "0/0"):
        return "wait", f"the other node has WAL up to {peer['lsn']}, this one up to {local['lsn']}"
    return "promote", "the other node follows and is not ahead"


def _decide_without_copy(silent: bool, alone: bool, abstains: bool) -> tuple[str, str]:
    """The other node does not answer, or not as a copy of this one."""
    if abstains:
        return "promote", "the other node says that it has no usable copy"
    if not silent:
        return "wait", "the other node is not a copy of this one"
    if alone:
        return "promote", "the other node does not answer and was declared lost"
    return "wait", "the other node does not answer, so it may have become primary"


def resume(config: NodeConfig, patience: float, alone: bool = False) -> str:
    """Ask until there is an answer or ``patience`` seconds are over.

    Returns ``promoted``, ``follows`` or the reason for staying read-only. Meanwhile the reason is in a file that
    observe_node() reads, and each new one goes to standard error, which for the unit is the journal.
    """
    try:
        return _ask_until(config, time.monotonic() + patience, alone)
    finally:
        WAITING_PATH.unlink(missing_ok=True)


def rehearse(config: NodeConfig, alone: bool = False) -> tuple[str, str]:
    """What a single attempt would decide now, and why. It takes no lock and changes nothing."""
    with connect_local(config.postgresql) as local:
        ours, theirs = _position(local), None
        if ours["in_recovery"]:
            with suppress(UnreachableError), connect_peer(config) as peer:
                theirs = _position(peer)
        # A writer's word is its role; only a silent node or a standby can say that it has no usable copy.
        abstains = not (theirs and not theirs["in_recovery"]) and peer_abstains(local)
    return decide_resume(ours, theirs, was_primary(ours["timeline"]), alone, abstains)


def _say_why(why: str) -> None:
    if read_waiting() != why:
        WAITING_PATH.parent.mkdir(parents=True, exist_ok=True)
        WAITING_PATH.write_text(why, encoding="utf-8")
        sys.stderr.write(f"This node stays read-only: {why}.\n")
        sys.stderr.flush()


def _ask_until(config: NodeConfig, deadline: float, alone: bool) -> str:
    while True:
        with wait_for_session(config.postgresql, timeout=max(1.0, deadline - time.monotonic())) as local:
            decision, why = _try(config, local, alone)
            if decision == "follow":
                # It kept WAL for the secondary that this node had; on a standby it would do so for ever.
                drop_slot(local, config.peer_slot)
        if decision == "promote":
            return "promoted"
        if decision == "follow":
            forget_having_been_primary()
            return "follows"
        if time.monotonic() > deadline:
            return why
        _say_why(why)
        time.sleep(random.uniform(0.2, 0.8))


def _try(config: NodeConfig, local: Connection, alone: bool) -> tuple[str, str]:
    if not in_recovery(local):
        serve(config, local)
        return "promote", "this node accepts writes"
    try:
        with connect_peer(config) as peer:
            return _ask(config, local, peer, alone)
    except UnreachableError:
        return _decide_without_peer(config, local, alone)
    except SessionError as error:
        if local.closed:
            raise
        return "wait", f"asking the other node failed. {problem_of(error)}"


def _decide_without_peer(config: NodeConfig, local: Connection, alone: bool) -> tuple[str, str]:
    """The other node can't be reached; it may still reach this one, and hold the lock here."""
    ours = _position(local)
    if was_primary() and not was_primary(ours["timeline"]) and not alone:
        return "follow", "this node has followed the other one since it was primary"
    decision, why = decide_resume(ours, None, was_primary(), alone, peer_abstains(local))
    if decision != "promote":
        return decision, why
    if not try_lock(local, GRANT):
        return "wait", "another promotion is under way"
    try:
        promote_here(config, local)
        return decision, why
    finally:
        unlock(local, GRANT)


def _ask(config: NodeConfig, local: Connection, peer: Connection, alone: bool) -> tuple[str, str]:
    """Decide while both locks are held, so that no other promotion can begin meanwhile."""
    ours = _position(local)
    if not in_recovery(peer):
        return decide_resume(ours, _position(peer), was_primary(ours["timeline"]), alone)
    if not try_lock(local, GRANT):
        return "wait", "another promotion of this node is under way"
    try:
        if not try_lock(peer, GRANT):
            return "wait", "another promotion is under way"
        abstains = peer_abstains(local)
        ours = _position(local)
        decision, why = decide_resume(ours, _position(peer), was_primary(ours["timeline"]), alone, abstains)
        if decision == "promote":
            end_down_word(peer)
            promote_here(config, local)
        return decision, why
    finally:
        unlock(local, GRANT)


def _position(connection: Connection) -> dict[str, Any]:
    facts = observe_replication(connection)
    position = {key: facts[key] for key in ("in_recovery", "timeline", "lsn", "system_identifier", "replay_lsn")}
    if position["in_recovery"]:
        # What was restored from the local pg_wal counts too: a former primary never "received" its own WAL.
        known = [lsn for lsn in (facts["lsn"], facts["replay_lsn"]) if lsn]
        position["lsn"] = max(known, key=parse_lsn) if known else None
    return position
