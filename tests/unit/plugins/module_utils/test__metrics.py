# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics as Prometheus' own parser reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._metrics import METRICS, format_metrics
from prometheus_client import parser

DOCUMENT = Path(__file__).parents[4] / "docs/metrics.md"
FACTS: dict[str, Any] = {
    "cluster": "duet",
    "node": "node1",
    "peer": "node2",
    "role": "primary",
    "timeline": 3,
    "last_role_change_timestamp_seconds": 1795364819.625,
    "streaming": True,
    "sync_state": "sync",
    "lag_bytes": 4096,
    "lag_seconds": 0.012,
    "protection_wanted": True,
    "protected": False,
    "wal_status": "extended",
    "wal_kept_bytes": 33554432,
    "wal_kept_limit_bytes": 67633152000,
    "expiries": {"certificate": 2110863600.0, "authority": 2110863601.0},
    "config_drift_files": 2,
    "events_waiting": 0,
    "agent_start_timestamp_seconds": 1795364800.5,
    "agent_last_pass_timestamp_seconds": 1795364819.5,
}


def parsed(facts: dict[str, Any]) -> dict[str, list[tuple[dict[str, str], float]]]:
    text = format_metrics(facts)
    assert text.endswith("\n")
    families = list(parser.text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert all(family.type == "gauge" and family.documentation == METRICS[family.name].help for family in families)
    return {family.name: [(sample.labels, sample.value) for sample in family.samples] for family in families}


def test_everything_that_is_known() -> None:
    found = parsed(FACTS)
    assert set(found) == set(METRICS)
    assert found["backup_ha_info"] == [({"cluster": "duet", "node": "node1", "peer": "node2"}, 1.0)]
    assert found["backup_ha_role"] == [
        ({"role": "primary"}, 1.0),
        ({"role": "secondary"}, 0.0),
        ({"role": "none"}, 0.0),
    ]
    assert found["backup_ha_protected"] == [({}, 0.0)]
    assert found["backup_ha_lag_seconds"] == [({}, 0.012)]
    assert found["backup_ha_wal_kept_limit_bytes"] == [({}, 67633152000.0)]
    assert found["backup_ha_last_role_change_timestamp_seconds"] == [({}, 1795364819.625)]
    assert ({"certificate": "authority"}, 2110863601.0) in found["backup_ha_certificate_expiry_timestamp_seconds"]


@pytest.mark.parametrize(("state", "key"), [("sync_state", "sync_state"), ("slot_state", "wal_status")])
def test_one_state_is_true_and_a_new_word_is_one_more(state: str, key: str) -> None:
    for word in (FACTS[key], "of a later version"):
        true = [labels["state"] for labels, value in parsed({**FACTS, key: word})[f"backup_ha_{state}"] if value]
        assert true == [word]


def test_what_is_not_known_is_absent() -> None:
    bare: dict[str, Any] = {"cluster": "duet", "node": "node1", "peer": "node2", "role": "none", "expiries": {}}
    bare["lag_bytes"] = None
    assert set(parsed(bare)) == {"backup_ha_info", "backup_ha_role"}


def test_names_with_odd_characters_arrive_whole() -> None:
    odd = 'a "b" \\ c\nd'
    assert parsed({**FACTS, "cluster": odd})["backup_ha_info"][0][0]["cluster"] == odd


def test_every_metric_is_documented() -> None:
    rows = re.findall(r"^\| `(backup_ha_\w+)` \|.*\| ([^|]+) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert dict(rows) == {metric.name: metric.help for metric in METRICS.values()}


def test_names_follow_prometheus_conventions() -> None:
    for name in METRICS:
        assert re.fullmatch(r"backup_ha_[a-z_]+", name)
        assert not name.endswith(("_total", "_count", "_sum")), "those are for counters"
