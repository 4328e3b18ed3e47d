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

from dataclasses import asdict, dataclass, field
from typing import Any

from ._loss import Loss, control_file, describe_loss, estimate_loss, refused_by_loss, seen_by_ssh
from ._timeline import describe_outvoted, go_on_outvoted

NOT_READY, ANSWERS, PROVEN_DOWN, UNREACHABLE = "not_ready", "answers", "proven_down", "unreachable"
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
class Wishes:
    """What the operator allows: his word that the old primary is off, how much may be lost (None: the default), and
    whether there is a fence, or what is wrong with the one that is configured."""

    primary_is_off: bool = False
    max_loss_bytes: int | None = None
    can_fence: bool = False
    fence_problem: str = ""


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
    said = f"{peer} is silent: {who}{ping}, and nobody answers for the endpoint."
    if "refused" not in (evidence["there"]["port"], (evidence["control"] or {}).get("port")):
        return said
    return (
        f"{said} Connections to its PostgreSQL are refused, which a firewall could do as well, and its agent does not "
        "say that no PostgreSQL runs there."
    )


def _unready(evidence: dict[str, Any]) -> list[str]:
    """Why this node can't take over from anybody."""
    local, node, peer = evidence["local"], evidence["node"], evidence["peer"]
    if local["role"] != "secondary":
        return [f"{node} is no standby (its PostgreSQL is {local['role']}); only a secondary takes over."]
    if not local["member"]:
        return [f"{node} has never been a copy of this cluster's primary: it lacks the database backup_ha."]
    if not local["timeline"] or not local["replayed"]:
        return [f"What {node} has replayed is unknown (timeline {local['timeline']}, position {local['replayed']})."]
    if local["outvoted"]:
        known = [describe_outvoted(node, peer, local["outvoted"]), f"Bring {peer} back. {go_on_outvoted(node, peer)}"]
        return _other_history(evidence) or known
    if local["was_primary"] and not (local["streamed"] or local["began_to_take_over"]):
        return [
            f"{node} was the primary itself and has followed nobody since it started. If {peer} is lost and switched "
            f"off: backup-ha resume --alone."
        ]
    if local["too_small"]:
        return list(local["too_small"])
    if local["paused"]:
        return [f"The replay is paused on {node}. Let it go on: SELECT pg_wal_replay_resume()."]
    return _other_history(evidence)


def _other_history(evidence: dict[str, Any]) -> list[str]:
    """Whoever has promoted since this node last followed has data that must not be passed over."""
    local, node, peer = evidence["local"], evidence["node"], evidence["peer"]
    for timeline, system in (_told_by_session(evidence), _told_bycontrol_file(evidence)):
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


def _told_bycontrol_file(evidence: dict[str, Any]) -> tuple[int | None, str | None]:
    control = control_file(evidence) or {}
    return control.get("timeline"), control.get("system_identifier")


def _writers(evidence: dict[str, Any]) -> list[str]:
    """Every place where a writer was seen, as sentences."""
    node, peer = evidence["node"], evidence["peer"]
    found = []
    if evidence["there"]["session"] == "writer":
        found.append(f"PostgreSQL on {peer} answers {node} and accepts writes.")
    message = evidence["local"]["last_message"]
    if message and message > evidence["began"] and evidence["there"]["session"] != "standby":
        found.append(f"{peer} still sends WAL to {node}.")
    seen = seen_by_ssh(evidence)
    if seen and seen["role"] not in NO_WRITER:
        found.append(f"PostgreSQL on {peer} accepts writes, as the control node sees over SSH.")
    return found


def _suspects(evidence: dict[str, Any]) -> list[str]:
    """Everything that answers and could be a writer that does not say so."""
    node, peer, endpoint = evidence["node"], evidence["peer"], evidence["endpoint"]
    control = evidence["control"] or {}
    seen = seen_by_ssh(evidence)
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
    """Every place where the old primary's server itself said that no writer runs on it. A port that refuses
    connections is none: a firewall that rejects them looks the same."""
    node, peer = evidence["node"], evidence["peer"]
    found = []
    if evidence["there"]["session"] == "standby":
        found.append(f"PostgreSQL on {peer} answers {node} and is read-only.")
    if evidence["local"]["told_down"]:
        found.append(f"The agent of {peer} says that no PostgreSQL runs there.")
    seen = seen_by_ssh(evidence)
    if seen and seen["role"] in NO_WRITER:
        state = {"secondary": "is read-only", "stopped": "is stopped", "none": "is not installed"}[seen["role"]]
        found.append(f"PostgreSQL on {peer} {state}, as the control node sees over SSH.")
    return found


def needs_fence(finding: Finding, wishes: Wishes) -> bool:
    """Whether only a fence can make the way free, and there is one."""
    if not wishes.can_fence or finding.writer:
        return False
    return finding.name == ANSWERS or (finding.name == UNREACHABLE and not wishes.primary_is_off)


def refusals(evidence: dict[str, Any], finding: Finding, loss: Loss, wishes: Wishes) -> list[str]:
    """Every reason why the failover must not go on, as sentences; none when it may, if need be after a fence."""
    if finding.name == NOT_READY:
        return finding.reasons
    return _refused_by_finding(evidence, finding, wishes) + refused_by_loss(evidence, loss)


def _refused_by_finding(evidence: dict[str, Any], finding: Finding, wishes: Wishes) -> list[str]:
    peer = evidence["peer"]
    if finding.writer:
        return [
            *finding.reasons,
            "The primary is not gone. To exchange the roles: ansible-playbook duet.backup_ha.switchover.",
        ]
    if needs_fence(finding, wishes) or finding.name == PROVEN_DOWN:
        return []
    broken = [f"The fence can't be used: {wishes.fence_problem}"] if wishes.fence_problem else []
    if finding.name == ANSWERS:
        return [
            *finding.reasons,
            *broken,
            f"It could be a primary that hangs. Switch {peer} off, stop its PostgreSQL, or configure a fence "
            "(backup_ha_fence). If it serves: ansible-playbook duet.backup_ha.switchover.",
        ]
    if wishes.primary_is_off and evidence["there"]["ping"]:
        said = f"{peer} is said to be off, and its address answers ping. Switch it off, or configure a fence."
        return [said, *broken]
    if wishes.primary_is_off:
        return []
    return [
        *finding.reasons,
        *broken,
        f"That is no proof that it does not serve others. Make sure that the machine is switched off and say so "
        f"(backup-ha failover --primary-is-off, in the playbook -e backup_ha_primary_is_off={peer}), or configure a "
        "fence that switches it off (backup_ha_fence).",
    ]


def _why(evidence: dict[str, Any], finding: Finding, wishes: Wishes, fenced: bool) -> str:
    """The reason as the history keeps it."""
    words = [finding.name.replace("_", " ") + ":", *finding.reasons]
    if finding.name == UNREACHABLE and wishes.primary_is_off and not fenced:
        words.append(f"The operator's word: {evidence['peer']} is off.")
    return " ".join(words)


def describe(report: Report) -> list[str]:
    """The finding and the loss for people, one sentence a line."""
    return [*report.finding.reasons, *describe_loss(report.evidence["peer"], report.evidence["node"], report.loss)]
