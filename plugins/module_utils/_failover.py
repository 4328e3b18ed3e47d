# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the secondary may take over from a primary that is gone, and what that would lose. Pure.

``evidence`` is plain data from _evidence.py: ``node``, ``peer``, ``endpoint_address``, ``began`` (epoch seconds), and
by vantage point ``local`` (this node's own server), ``there`` (the other node, asked from here), ``endpoint`` (who
answers for it here) and ``control`` (what the control node saw; None when nobody asked it).

The rule that everything here serves: while any vantage point sees a writer, or something that could be one, the answer
is no. Silence is no proof of an end; it needs a fence or somebody's word.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from ._lsn import format_bytes, format_lsn, lsn_distance, parse_lsn

NOT_READY, ANSWERS, PROVEN_DOWN, UNREACHABLE = "not_ready", "answers", "proven_down", "unreachable"
ASYNCHRONOUS_BOUND = 16 * 1024 * 1024
NO_WRITER = ("secondary", "stopped", "none")


@dataclass(frozen=True)
class Finding:
    """What became of the primary, and the sentences that say by what it was seen.

    ``writer``: a server that accepts writes was seen, not only something that could be one.
    """

    name: str
    reasons: list[str]
    writer: bool = False


@dataclass(frozen=True)
class Loss:
    """WAL of the primary that is missing here, as far as anybody can know.

    ``exact``: the primary's own last position is known; else ``missing_bytes`` is the least that is missing, None when
    nothing is known. ``heard`` (epoch seconds) is when the primary was last heard from.
    """

    missing_bytes: int | None
    exact: bool
    heard: float | None
    silent_s: float | None
    synchronous: bool
    limit_bytes: int


@dataclass(frozen=True)
class Wishes:
    """What the operator allows: his word that the old primary is off, how much may be lost (None: the default), and
    whether there is a fence."""

    primary_is_off: bool = False
    max_loss_bytes: int | None = None
    can_fence: bool = False


@dataclass(frozen=True)
class Report:
    """Everything that was found out; ``refusals`` are sentences, none when the failover may go on."""

    evidence: dict[str, Any]
    finding: Finding
    loss: Loss
    refusals: list[str]
    fence_needed: bool
    why: str = field(default="")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(evidence: dict[str, Any], wishes: Wishes, fenced: bool = False) -> Report:
    """Judge the evidence, estimate the loss, and say what speaks against a failover."""
    finding = judge(evidence, fenced)
    loss = estimate_loss(evidence, wishes.max_loss_bytes)
    return Report(
        evidence,
        finding,
        loss,
        refusals(evidence, finding, loss, wishes),
        needs_fence(finding, wishes),
        _why(evidence, finding, wishes, fenced),
    )


def judge(evidence: dict[str, Any], fenced: bool = False) -> Finding:
    """Tell apart a primary that answers, one that is proven down, and one that nobody reaches.

    ``fenced``: a fence has reported success before the evidence was gathered.
    """
    unready = _unready(evidence)
    if unready:
        return Finding(NOT_READY, unready)
    writers = _writers(evidence)
    if writers:
        return Finding(ANSWERS, writers, writer=True)
    suspects = _suspects(evidence)
    if suspects:
        return Finding(ANSWERS, suspects)
    proofs = _proofs(evidence)
    if fenced:
        proofs.insert(0, f"The fence reported that {evidence['peer']} is off.")
    if proofs:
        return Finding(PROVEN_DOWN, proofs)
    return Finding(UNREACHABLE, [_silence(evidence)])


def _silence(evidence: dict[str, Any]) -> str:
    node, peer = evidence["node"], evidence["peer"]
    who = f"{node} and the control node get no answer" if evidence["control"] else f"{node} gets no answer"
    ping = " except to ping" if evidence["there"]["ping"] else ""
    return f"{peer} is silent: {who}{ping}, and nobody answers for the endpoint."


def _unready(evidence: dict[str, Any]) -> list[str]:
    """Why this node can't take over from anybody."""
    local, node, peer = evidence["local"], evidence["node"], evidence["peer"]
    if local["role"] != "secondary":
        return [f"{node} is no standby (its PostgreSQL is {local['role']}); only a secondary takes over."]
    if not local["member"]:
        return [f"{node} has never been a copy of this cluster's primary: it lacks the database backup_ha."]
    if not local["timeline"] or not local["replayed"]:
        return [f"What {node} has replayed is unknown (timeline {local['timeline']}, position {local['replayed']})."]
    if local["was_primary"] and not local["streamed"]:
        return [
            f"{node} was the primary itself and has followed nobody since it started. If {peer} is lost and switched "
            f"off: backup-ha resume --alone."
        ]
    if local["paused"]:
        return [f"The replay is paused on {node}. Let it go on: SELECT pg_wal_replay_resume()."]
    return _other_history(evidence)


def _other_history(evidence: dict[str, Any]) -> list[str]:
    """Whoever has promoted since this node last followed has data that must not be passed over."""
    local, node, peer = evidence["local"], evidence["node"], evidence["peer"]
    for timeline, system in (_told_by_session(evidence), _told_by_control_file(evidence)):
        if system and system != local["system_identifier"]:
            return [f"{node} is not a copy of {peer}: their system identifiers differ."]
        if timeline and timeline > local["timeline"]:
            return [
                f"{peer} is on timeline {timeline}, {node} only on {local['timeline']}: {peer} has newer data. Let "
                f"{peer} go on instead: backup-ha resume."
            ]
    return []


def _told_by_session(evidence: dict[str, Any]) -> tuple[int | None, str | None]:
    there = evidence["there"]
    return there.get("timeline"), there.get("system_identifier")


def _told_by_control_file(evidence: dict[str, Any]) -> tuple[int | None, str | None]:
    control = _control_file(evidence) or {}
    return control.get("timeline"), control.get("system_identifier")


def _seen_by_ssh(evidence: dict[str, Any]) -> dict[str, Any] | None:
    """The old primary as the control node saw it over SSH, when it let itself be seen."""
    control = evidence["control"]
    return (control.get("primary") or None) if control else None


def _control_file(evidence: dict[str, Any]) -> dict[str, Any] | None:
    seen = _seen_by_ssh(evidence)
    return seen["postgresql"].get("control") if seen else None


def _writers(evidence: dict[str, Any]) -> list[str]:
    """Every place where a writer was seen, as sentences."""
    node, peer = evidence["node"], evidence["peer"]
    found = []
    if evidence["there"]["session"] == "writer":
        found.append(f"PostgreSQL on {peer} answers {node} and accepts writes.")
    message = evidence["local"]["last_message"]
    if message and message > evidence["began"] and evidence["there"]["session"] != "standby":
        found.append(f"{peer} still sends WAL to {node}.")
    seen = _seen_by_ssh(evidence)
    if seen and seen["role"] not in NO_WRITER:
        found.append(f"PostgreSQL on {peer} accepts writes, as the control node sees over SSH.")
    return found


def _suspects(evidence: dict[str, Any]) -> list[str]:
    """Everything that answers and could be a writer that does not say so."""
    node, peer, endpoint = evidence["node"], evidence["peer"], evidence["endpoint"]
    control = evidence["control"] or {}
    seen = _seen_by_ssh(evidence)
    known = evidence["there"]["session"] == "standby" or (seen is not None and seen["role"] in NO_WRITER)
    found = []
    if evidence["there"]["port"] == "open" and not known:
        problem = evidence["there"].get("problem") or "no answer"
        found.append(f"{peer} takes connections to its PostgreSQL from {node} and lets no session in ({problem}).")
    if control.get("port") == "open" and not known:
        found.append(f"{peer} takes connections to its PostgreSQL from the control node.")
    if endpoint["held_here"]:
        return found
    address = evidence["endpoint_address"]
    if endpoint["holder"]:
        found.append(f"Somebody ({endpoint['holder']}) answers for the endpoint {address} in {node}'s network.")
    if endpoint["port"] == "open":
        found.append(f"Somebody takes connections to PostgreSQL at the endpoint {address} from {node}.")
    if control.get("endpoint_port") == "open":
        found.append(f"Somebody takes connections to PostgreSQL at the endpoint {address} from the control node.")
    return found


def _proofs(evidence: dict[str, Any]) -> list[str]:
    """Every place where the old primary's server answered and no writer ran on it."""
    node, peer = evidence["node"], evidence["peer"]
    found = []
    if evidence["there"]["session"] == "standby":
        found.append(f"PostgreSQL on {peer} answers {node} and is read-only.")
    if evidence["there"]["port"] == "refused":
        found.append(f"{peer} answers {node}, and no PostgreSQL listens there.")
    if (evidence["control"] or {}).get("port") == "refused":
        found.append(f"{peer} answers the control node, and no PostgreSQL listens there.")
    seen = _seen_by_ssh(evidence)
    if seen and seen["role"] in NO_WRITER:
        state = {"secondary": "is read-only", "stopped": "is stopped", "none": "is not installed"}[seen["role"]]
        found.append(f"PostgreSQL on {peer} {state}, as the control node sees over SSH.")
    return found


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
    control = _control_file(evidence)
    if control and control["state"] == "shut down" and control["timeline"] == local["timeline"]:
        # The shutdown checkpoint is the last record; nothing of the clients' comes after it.
        return lsn_distance(control["checkpoint_lsn"], local["received"]), True
    known = [local["latest_end"], control and control["checkpoint_lsn"]]
    told = [parse_lsn(lsn) for lsn in known if lsn]
    return (lsn_distance(format_lsn(max(told)), local["received"]), False) if told else (None, False)


def needs_fence(finding: Finding, wishes: Wishes) -> bool:
    """Whether only a fence can make the way free, and there is one."""
    if not wishes.can_fence or finding.writer:
        return False
    return finding.name == ANSWERS or (finding.name == UNREACHABLE and not wishes.primary_is_off)


def refusals(evidence: dict[str, Any], finding: Finding, loss: Loss, wishes: Wishes) -> list[str]:
    """Every reason why the failover must not go on, as sentences; none when it may, if need be after a fence."""
    if finding.name == NOT_READY:
        return finding.reasons
    return _refused_by_finding(evidence, finding, wishes) + _refused_by_loss(evidence, loss)


def _refused_by_finding(evidence: dict[str, Any], finding: Finding, wishes: Wishes) -> list[str]:
    peer = evidence["peer"]
    if finding.writer:
        return [
            *finding.reasons,
            "The primary is not gone. To exchange the roles: ansible-playbook duet.backup_ha.switchover.",
        ]
    if needs_fence(finding, wishes) or finding.name == PROVEN_DOWN:
        return []
    if finding.name == ANSWERS:
        return [
            *finding.reasons,
            f"It could be a primary that hangs. Switch {peer} off, stop its PostgreSQL, or configure a fence "
            "(backup_ha_fence). If it serves: ansible-playbook duet.backup_ha.switchover.",
        ]
    if wishes.primary_is_off and evidence["there"]["ping"]:
        return [f"{peer} is said to be off, and its address answers ping. Switch it off, or configure a fence."]
    if wishes.primary_is_off:
        return []
    return [
        *finding.reasons,
        f"That is no proof that it does not serve others. Make sure that the machine is switched off and say so "
        f"(backup-ha failover --primary-is-off, in the playbook -e backup_ha_primary_is_off={peer}), or configure a "
        "fence that switches it off (backup_ha_fence).",
    ]


def _refused_by_loss(evidence: dict[str, Any], loss: Loss) -> list[str]:
    option = "--max-loss-bytes, in the playbook backup_ha_max_loss_bytes"
    if loss.missing_bytes is not None and loss.missing_bytes > loss.limit_bytes:
        least = "" if loss.exact else "at least "
        return [
            f"Of what {evidence['peer']} wrote, {least}{loss.missing_bytes} bytes ({format_bytes(loss.missing_bytes)}) "
            f"are missing on {evidence['node']}; {loss.limit_bytes} may be lost ({option})."
        ]
    if not loss.exact and not loss.synchronous and loss.limit_bytes == 0:
        return [
            f"Nothing may be lost ({option}), and what {evidence['peer']} wrote last can't be known: replication is "
            "asynchronous."
        ]
    return []


def _why(evidence: dict[str, Any], finding: Finding, wishes: Wishes, fenced: bool) -> str:
    """The reason as the history keeps it."""
    words = [finding.name.replace("_", " ") + ":", *finding.reasons]
    if finding.name == UNREACHABLE and wishes.primary_is_off and not fenced:
        words.append(f"The operator's word: {evidence['peer']} is off.")
    return " ".join(words)


def describe(report: Report) -> list[str]:
    """The finding and the loss for people, one sentence a line."""
    return [*report.finding.reasons, *describe_loss(report.evidence["peer"], report.evidence["node"], report.loss)]


def describe_loss(peer: str, node: str, loss: Loss) -> list[str]:
    if loss.missing_bytes:
        least = "at least " if not loss.exact else ""
        lines = [f"Missing on {node}: {least}{loss.missing_bytes} bytes of WAL ({format_bytes(loss.missing_bytes)})."]
    elif loss.exact:
        lines = [f"Nothing that {peer} wrote is missing on {node}."]
    else:
        lines = [f"{node} has everything that {peer} is known to have written."]
    if loss.exact:
        return lines
    if loss.synchronous:
        return [*lines, f"Replication is synchronous: what {peer} acknowledged is here."]
    if loss.heard is None:
        return [*lines, f"When {node} last heard from {peer} is unknown, and so is what that accepted since."]
    at = time.strftime("%H:%M:%S", time.localtime(loss.heard))
    return [*lines, f"What {peer} accepted after {at} ({loss.silent_s:.0f} s ago) can't be known."]


def roles(nodes: dict[str, dict[str, Any] | None], confirmed: str) -> tuple[str, str, list[str]]:
    """The names of the old primary and of the node that takes over, and why there is none, as sentences.

    ``nodes`` holds observe_node() by name, None for one that does not answer. Names are empty where there is none.
    """
    writers = [name for name, node in nodes.items() if node and node["role"] == "primary"]
    standbys = [name for name, node in nodes.items() if node and node["role"] == "secondary"]
    if writers:
        # Two of them are a split that nobody takes over from; one that was confirmed to be gone has taken over.
        other = next((name for name in nodes if name not in writers), "")
        if other and other == confirmed:
            return other, writers[0], []
        return writers[0], other, _nobody(nodes, other)
    if len(standbys) > 1:
        # The one that was primary asks to go on; the other one follows.
        asking = [name for name in standbys if (nodes[name] or {}).get("waits")]
        named = confirmed if confirmed in standbys else asking[0] if len(asking) == 1 else ""
        if not named:
            return (
                "",
                "",
                ["Both nodes are read-only, and neither says that it was the primary: run duet.backup_ha.status."],
            )
        standbys = [name for name in standbys if name != named]
    taker = standbys[0] if standbys else ""
    return next((name for name in nodes if name != taker), ""), taker, _nobody(nodes, taker)


def _nobody(nodes: dict[str, dict[str, Any] | None], taker: str) -> list[str]:
    if taker and nodes[taker]:
        return []
    said = [f"{name} {'is ' + node['role'] if node else 'does not answer over SSH'}" for name, node in nodes.items()]
    return [f"There is no secondary that could take over: {', '.join(said)}."]
