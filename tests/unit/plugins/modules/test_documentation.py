# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reading modules return is documented, leaf by leaf."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.duet.backup_ha.plugins.modules import node_info, server_info
from ansible_collections.duet.backup_ha.tests.unit.plugins import servers, worlds

STOP = {"flush_s": 2.0, "checkpoint_s": 0.5, "archive_file_s": None, "workload_s": None}
PRIMARY = {
    **worlds.primary(),
    "operation": {**worlds.operation(), "target": "", "step": ""},
    "stop": STOP,
    "events": [worlds.event()],
    "waits": None,
}
CONTROL = {**worlds.control("in production"), "standby_minimums": {}}


def names(value: Any, prefix: str = "") -> set[str]:
    """Every key of nested dictionaries, and of those in lists, as a path."""
    if isinstance(value, list):
        return set().union(*(names(item, prefix) for item in value))
    if not isinstance(value, dict):
        return set()
    return set().union(*({prefix + key} | names(inner, f"{prefix}{key}.") for key, inner in value.items()))


def documented(contains: dict[str, Any], prefix: str = "") -> set[str]:
    inner = (documented(leaf.get("contains", {}), f"{prefix}{key}.") for key, leaf in contains.items())
    return {prefix + key for key in contains}.union(*inner)


@pytest.mark.parametrize(
    ("module", "key", "found"),
    [
        (node_info, "node", PRIMARY),
        (node_info, "node", worlds.changed(worlds.secondary(), "postgresql", "control", to=CONTROL)),
        (server_info, "server", servers.full().found),
    ],
    ids=["a primary", "a secondary", "a server"],
)
def test_every_leaf_is_documented(module: Any, key: str, found: dict[str, Any]) -> None:
    told = documented(yaml.safe_load(module.RETURN)[key]["contains"])
    free = (
        "services.",
        "settings.",
        "endpoint.",
        "versions.",
        "resolves.",
        "reverse.",
        "standby_minimums.",
        "databases.",
    )
    missing = {name for name in names(found) - told if not any(part in name for part in free)}
    assert missing == set()
