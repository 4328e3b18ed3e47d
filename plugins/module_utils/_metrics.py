# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's metrics in Prometheus' text format, for the node exporter's textfile collector. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

Labels = dict[str, str]
ROLES = ("primary", "secondary", "none")
SYNC_STATES = ("async", "potential", "quorum", "sync")
WAL_STATES = ("reserved", "extended", "unreserved", "lost", "missing")


class Metric(NamedTuple):
    """All are gauges; ``help`` is what docs/metrics.md says, too."""

    name: str
    help: str


METRICS = {
    metric.name: metric
    for metric in (
        Metric("backup_ha_info", "Always 1; the labels name the cluster, this node and the other one."),
        Metric("backup_ha_role", "1 for the role that this node has."),
        Metric("backup_ha_timeline", "The timeline that this node writes on or follows."),
        Metric("backup_ha_last_role_change_timestamp_seconds", "Since when this node has had its role."),
        Metric("backup_ha_streaming", "Whether WAL streams from the primary to the secondary."),
        Metric("backup_ha_lag_bytes", "WAL that the secondary has not replayed."),
        Metric("backup_ha_lag_seconds", "How long WAL takes, or has waited, until the secondary has replayed it."),
        Metric("backup_ha_sync_state", "1 for PostgreSQL's word on the secondary; on the primary while it streams."),
        Metric("backup_ha_protection_wanted", "Whether commits are meant to wait for the secondary."),
        Metric("backup_ha_protected", "Whether commits are known to wait for the secondary; on the primary."),
        Metric("backup_ha_slot_state", "1 for the state of the WAL that is kept for the secondary; on the primary."),
        Metric("backup_ha_wal_kept_bytes", "WAL that is kept for the secondary; on the primary."),
        Metric("backup_ha_wal_kept_limit_bytes", "How much is kept at most; absent without a bound."),
        Metric("backup_ha_certificate_expiry_timestamp_seconds", "When a certificate of this node expires."),
        Metric("backup_ha_config_drift_files", "Files of the workload that can't be replicated to or from this node."),
        Metric("backup_ha_events_waiting", "Events that have not reached the cluster's database or the hook yet."),
        Metric("backup_ha_agent_start_timestamp_seconds", "When the agent was started."),
        Metric("backup_ha_agent_last_pass_timestamp_seconds", "When the agent last looked at this node and could."),
    )
}


def format_metrics(facts: dict[str, Any]) -> str:
    """Every metric that is known. ``facts`` holds what _notices.py gathers; None is left out."""
    samples = {
        "backup_ha_info": [({name: facts[name] for name in ("cluster", "node", "peer")}, 1)],
        "backup_ha_role": _states("role", ROLES, facts["role"]),
        "backup_ha_sync_state": _states("state", SYNC_STATES, facts.get("sync_state")),
        "backup_ha_slot_state": _states("state", WAL_STATES, facts.get("wal_status")),
        "backup_ha_certificate_expiry_timestamp_seconds": [
            ({"certificate": name}, at) for name, at in sorted((facts.get("expiries") or {}).items())
        ],
    }
    lines = []
    for metric in METRICS.values():
        plain = facts.get(metric.name.removeprefix("backup_ha_"))
        found: list[tuple[Labels, Any]] = samples.get(metric.name, [] if plain is None else [({}, plain)])
        if found:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge"]
            lines += [f"{metric.name}{_labels(labels)} {_number(value)}" for labels, value in found]
    return "".join(f"{line}\n" for line in lines)


def _states(label: str, states: tuple[str, ...], state: str | None) -> list[tuple[Labels, Any]]:
    """One sample for each; a word that is new to us is one more."""
    if state is None:
        return []
    return [({label: name}, name == state) for name in dict.fromkeys((*states, state))]


def _labels(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escape(value: str) -> str:
    r"""
    >>> _escape('a "b" \\ c')
    'a \\"b\\" \\\\ c'
    """
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: Any) -> str:
    """
    >>> _number(True), _number(42), _number(1795364819.625)
    ('1', '42', '1795364819.625')
    """
    return str(int(value)) if isinstance(value, bool) else repr(value)
