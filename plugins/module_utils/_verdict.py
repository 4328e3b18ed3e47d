# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One verdict per cluster from what its nodes say. Pure.

=============  =======================================================================================
healthy        the primary serves, the secondary follows and is in step, nothing needs doing
degraded       the primary serves, but something that protects it is missing or late
failed         nobody serves: no node accepts writes, or the writer lacks the endpoint or its services
split          both nodes accept writes
unassembled    the servers answer and are not (or not both) nodes of a cluster
unknown        no node answered
=============  =======================================================================================
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ._auto_rejoin_health import (
    is_own_operation,
    is_rejoining,
    rejoin_reasons,
    rejoins_by_itself,
    was_interrupted,
)
from ._config import AGENT_UNIT, ENDPOINT_UNIT, slot_name
from ._file_health import file_reasons, has_file_reasons
from ._operation import LEASE_S
from ._parameters import describe_too_small
from ._protection_health import idle_agents, protection_reasons
from ._silence import describe_silence, is_silent
from ._standby_health import fork_of, secondary_reasons
from ._timeline import describe_outvoted, go_on_outvoted

HEALTHY, DEGRADED, FAILED = "healthy", "degraded", "failed"
SPLIT, UNASSEMBLED, UNKNOWN = "split", "unassembled", "unknown"


@dataclass(frozen=True)
class Verdict:
    """``reasons`` are sentences, most important first; ``next`` is the command or the look that comes next."""

    cluster: str
    verdict: str
    primary: str | None = None
    secondary: str | None = None
    reasons: list[str] = field(default_factory=list)
    next: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(cluster: str, nodes: dict[str, dict[str, Any] | None]) -> Verdict:
    """``nodes`` maps each node's name to its observation (observe_node()); to None or to ``silence``, how the attempt
    to look at it ended, when there is none."""
    silent = {name: describe_silence(name, node) for name, node in sorted(nodes.items()) if is_silent(node)}
    nodes = {name: None if name in silent else node for name, node in nodes.items()}
    answered = {name: node for name, node in nodes.items() if node}
    if not answered:
        reasons = list(silent.values())
        return Verdict(cluster, UNKNOWN, reasons=reasons, next="Look at the servers and the network.")
    outside = sorted(name for name, node in answered.items() if not node["assembled"])
    if outside:
        return _unassembled(cluster, outside, answered, silent)
    writers = sorted(name for name, node in answered.items() if node["role"] == "primary")
    if len(writers) > 1 and not _are_copies(answered):
        return _unpaired(cluster, writers)
    if len(writers) > 1:
        return Verdict(
            cluster,
            SPLIT,
            reasons=[f"{' and '.join(writers)} both accept writes."],
            next="Stop the primary target on the node whose data you give up: systemctl stop backup-ha-primary.target",
        )
    return _with_writer(cluster, nodes, writers[0], silent) if writers else _without_writer(cluster, nodes, silent)


def _unassembled(
    cluster: str, outside: list[str], answered: dict[str, dict[str, Any]], silent: dict[str, str]
) -> Verdict:
    reasons = [f"{name} is no node of a cluster yet." for name in outside] + list(silent.values())
    writers = [name for name, node in answered.items() if node["assembled"] and node["role"] == "primary"]
    return Verdict(
        cluster,
        UNASSEMBLED,
        primary=writers[0] if writers else None,
        reasons=reasons,
        next="ansible-playbook duet.backup_ha.assemble",
    )


def _are_copies(answered: dict[str, dict[str, Any]]) -> bool:
    """Two servers of one system: with different ones, nobody's writes can be missing on the other."""
    found = {(node["postgresql"].get("control") or {}).get("system_identifier") for node in answered.values()}
    return len(found - {None}) <= 1


def _unpaired(cluster: str, writers: list[str]) -> Verdict:
    reason = f"{' and '.join(writers)} are not paired: each has a PostgreSQL of its own. An assembly was interrupted."
    return Verdict(cluster, UNASSEMBLED, reasons=[reason], next="ansible-playbook duet.backup_ha.assemble")


def _without_writer(cluster: str, nodes: dict[str, dict[str, Any] | None], silent: dict[str, str]) -> Verdict:
    reasons = [f"No node that answers accepts writes: {', '.join(_state(n, o) for n, o in nodes.items() if o)}."]
    reasons += [f"{name} waits: {node['waits']}." for name, node in nodes.items() if node and node.get("waits")]
    reasons += [said for name, node in nodes.items() if node for said in describe_too_small(name, node["postgresql"])]
    reasons += _outvoted_reasons(nodes) + list(silent.values()) + _operation_reasons(nodes)
    followed = _followed_node(nodes)
    if followed in silent:
        reasons.append(f"The secondary still streams from {followed}: it serves, and only this control node misses it.")
        return Verdict(cluster, DEGRADED, primary=followed, reasons=reasons, next=f"Look at SSH on {followed}.")
    if silent:
        secondary = next((n for n, o in nodes.items() if o and o["role"] == "secondary"), None)
        next_step = _next_while_silent(next(iter(silent)), secondary, nodes)
        return Verdict(cluster, FAILED, secondary=secondary, reasons=reasons, next=next_step)
    return Verdict(cluster, FAILED, reasons=reasons, next=_next_without_writer(nodes))


def _outvoted_reasons(nodes: dict[str, dict[str, Any] | None]) -> list[str]:
    found = {name: node["postgresql"].get("outvoted") for name, node in nodes.items() if node}
    left = {name: outvoted for name, outvoted in found.items() if outvoted}
    return [describe_outvoted(name, other, left[name]) for name in left for other in nodes if other != name]


def _next_while_silent(silent: str, secondary: str | None, nodes: dict[str, dict[str, Any] | None]) -> str:
    """A former primary goes on alone, a secondary takes over; whoever is neither can do nothing."""
    back = f"Bring {silent} back: it resumes by itself."
    if secondary is None:
        return f"{back} {_next_without_writer(nodes)}"
    node = nodes[secondary] or {}
    if node["postgresql"].get("outvoted"):
        return f"{back} {go_on_outvoted(secondary, silent)}"
    if node.get("waits"):
        return f"{back} If it is lost and switched off for good, run on {secondary}: backup-ha resume --alone"
    return (
        f"{back} If it is lost: ansible-playbook duet.backup_ha.failover (without a control node, on {secondary}: "
        "backup-ha failover)"
    )


def _next_without_writer(nodes: dict[str, dict[str, Any] | None]) -> str:
    stopped = sorted(name for name, node in nodes.items() if node and node["role"] == "stopped")
    if stopped:
        unit = nodes[stopped[0]]["postgresql"].get("unit", "postgresql")  # type: ignore[index]
        where = " and ".join(stopped)
        start = f"Start PostgreSQL on {where} (systemctl start {unit}): the former primary resumes by itself."
        if any(node and node["role"] == "secondary" for node in nodes.values()):
            return f"{start} If it can't be started: ansible-playbook duet.backup_ha.failover"
        return start
    return (
        "journalctl -u backup-ha-resume says on each node what it waits for. Where neither asks to be primary, run on "
        "the one with the higher position: backup-ha resume --alone"
    )


def _state(name: str, node: dict[str, Any] | None) -> str:
    if node is None:
        return f"{name} does not answer"
    what = {"secondary": "follows", "stopped": "is stopped", "none": "has no PostgreSQL", "primary": "accepts writes"}
    return f"{name} {what[node['role']]}"


def _followed_node(nodes: dict[str, dict[str, Any] | None]) -> str | None:
    """The node that the answering standby streams from."""
    for name, node in nodes.items():
        receiver = node and node["postgresql"].get("receiver")
        if receiver and receiver["status"] == "streaming":
            return next((other for other in nodes if other != name), None)
    return None


def _with_writer(
    cluster: str, nodes: dict[str, dict[str, Any] | None], primary: str, silent: dict[str, str]
) -> Verdict:
    secondary = next((name for name in nodes if name != primary), None)
    writer = nodes[primary] or {}
    broken = _service_reasons(primary, writer)
    why = silent.get(secondary or "", "")
    weak = secondary_reasons(primary, writer, secondary, nodes.get(secondary) if secondary else None, why)
    if secondary and nodes[secondary]:
        weak += rejoin_reasons(secondary, nodes[secondary] or {}, _needs_rejoin(primary, secondary, nodes))
    weak += protection_reasons(primary, nodes) + _operation_reasons(nodes) + _version_reasons(nodes)
    weak += file_reasons(nodes)
    if broken:
        return Verdict(cluster, FAILED, primary, secondary, broken + weak, f"On {primary}: backup-ha resume")
    if weak:
        return Verdict(cluster, DEGRADED, primary, secondary, weak, _next_degraded(primary, secondary, nodes))
    return Verdict(cluster, HEALTHY, primary, secondary)


def _service_reasons(primary: str, writer: dict[str, Any]) -> list[str]:
    """A writer without the endpoint or without its services serves nobody."""
    reasons = []
    if not writer["postgresql"]["accepting"]:
        reasons.append(f"PostgreSQL on {primary} lets nobody in: {writer['postgresql']['problem']}")
    endpoint = writer["endpoint"]
    if endpoint and not endpoint["held"]:
        reasons.append(f"{primary} accepts writes but does not have the endpoint {endpoint['address']}.")
    for unit, state in sorted(writer["services"].items()):
        if state["active"] != "active" and unit != ENDPOINT_UNIT:
            reasons.append(f"{unit} is {state['active']} on the primary {primary}.")
    return reasons


def _operation_reasons(nodes: dict[str, dict[str, Any] | None]) -> list[str]:
    for record in _operations(nodes):
        state = "was interrupted; run it again to finish it" if _is_left_over(record) else "is running"
        return [f"The operation '{record['kind']}' by {record['by']} {state}{_last_steps(nodes)}."]
    return []


def _last_steps(nodes: dict[str, dict[str, Any] | None]) -> str:
    begun = {name: ((node and node["operation"]) or {}).get("step") for name, node in nodes.items()}
    said = ", ".join(f"{name} began to {str(step).replace('_', ' ')}" for name, step in begun.items() if step)
    return f" ({said})" if said else ""


def _operations(nodes: dict[str, dict[str, Any] | None]) -> list[dict[str, Any]]:
    """The records; not of one that was killed before its first step: it has left nothing to be finished."""
    found = [node["operation"] for node in nodes.values() if node and node["operation"]]
    found = [record for record in found if not is_own_operation(record, nodes)]
    begun = any(record.get("step") != "" for record in found)
    return [record for record in found if begun or not _is_left_over(record)]


def _is_left_over(record: dict[str, Any]) -> bool:
    return bool(abs(record["age_s"]) > LEASE_S)


def _version_reasons(nodes: dict[str, dict[str, Any] | None]) -> list[str]:
    reasons = []
    for what in ("postgresql", "workload"):
        found = {
            name: node["versions"].get(what) for name, node in nodes.items() if node and node["versions"].get(what)
        }
        if len(set(found.values())) > 1:
            listed = ", ".join(f"{name} {version}" for name, version in sorted(found.items()))
            reasons.append(f"The nodes have different versions of {what}: {listed}.")
    return reasons


def _needs_rejoin(primary: str, secondary: str, nodes: dict[str, dict[str, Any] | None]) -> bool:
    """It won't follow by itself, however long one waits."""
    node, writer = nodes[secondary] or {}, nodes[primary] or {}
    lost = _is_lost(writer, secondary)
    return bool(lost or node.get("unusable") or was_interrupted(node) or fork_of(node, writer))


def _is_lost(writer: dict[str, Any], secondary: str) -> bool:
    """WAL that the secondary needs is no longer there."""
    slots = [s for s in writer["postgresql"].get("slots", []) if s["name"] == slot_name(secondary)]
    return any(slot["wal_status"] == "lost" for slot in slots)


def _next_when_back(lost: bool, writer: dict[str, Any]) -> str:
    """Both nodes are told the same about rejoining by themselves."""
    by_hand = "ansible-playbook duet.backup_ha.rejoin"
    if not lost:
        return "; it follows by itself."
    wanted = (writer.get("rejoin") or {}).get("wanted")
    return f"; it rejoins by itself. If it does not: {by_hand}" if wanted else f", then: {by_hand}"


def _next_degraded(primary: str, secondary: str | None, nodes: dict[str, dict[str, Any] | None]) -> str:
    if secondary is None:
        return "Add a second host to the cluster's group: ansible-playbook duet.backup_ha.assemble"
    node = nodes[secondary]
    if node is None:
        writer = nodes[primary] or {}
        return f"Bring {secondary} back{_next_when_back(_is_lost(writer, secondary), writer)}"
    # A record that cannot be read has no identity.
    left = [record["kind"] for record in _operations(nodes) if _is_left_over(record) and record["id"]]
    if left:
        return f"ansible-playbook duet.backup_ha.{left[0]}"
    if is_rejoining(node):
        return f"Wait a moment: {secondary} is rejoining by itself."
    if _needs_rejoin(primary, secondary, nodes):
        by_hand = f"ansible-playbook duet.backup_ha.rejoin (or on {secondary}: backup-ha rejoin)"
        waits = f"Wait a moment: {secondary} rejoins by itself. If it does not: {by_hand}"
        return waits if rejoins_by_itself(node) else by_hand
    if describe_too_small(secondary, node["postgresql"]):
        return f"Raise the parameters on {secondary} as said above."
    if node["role"] == "stopped":
        return f"On {secondary}: systemctl start {node['postgresql'].get('unit', 'postgresql')}"
    idle = idle_agents(nodes)
    if idle:
        return f"On {idle[0]}: systemctl start {AGENT_UNIT}"
    differing = [name for name, other in nodes.items() if has_file_reasons(other)]
    if differing:
        return f"On {differing[0]}: backup-ha diff"
    return "Wait a moment and look again; if it stays, journalctl -u 'postgresql@*' on the secondary says why."
