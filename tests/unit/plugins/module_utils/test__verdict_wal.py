# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WAL that is kept for an absent secondary: a warning while its return is cheap, and what to do when it is not."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import judge
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Node, both, changed

GIB = 1024**3


def keeping(kept_bytes: int | None, cap_mb: int = 64512, wal_status: str = "extended") -> Node:
    """A primary that keeps WAL for a secondary that is away."""
    node = changed(worlds.primary(), "postgresql", "settings", "max_slot_wal_keep_size", to=str(cap_mb))
    slot = {**worlds.slot("node2", False, wal_status), "kept_bytes": kept_bytes}
    return changed(node, "postgresql", "slots", to=[slot])


@pytest.mark.parametrize("there", [True, False])
def test_more_than_half_of_the_cap_is_a_reason(there: bool) -> None:
    verdict = judge("duet", both(keeping(33 * GIB), worlds.secondary() if there else None))
    assert verdict.verdict == "degraded"
    assert any(
        "node1 keeps 33.0 GiB of WAL for node2, more than half of the 63.0 GiB" in reason for reason in verdict.reasons
    )
    assert there or verdict.next == "Bring node2 back; it follows by itself."


@pytest.mark.parametrize(("kept", "cap_mb"), [(31 * GIB, 64512), (500 * GIB, -1)])
def test_less_than_half_or_without_a_bound_is_no_reason(kept: int, cap_mb: int) -> None:
    assert judge("duet", both(keeping(kept, cap_mb), worlds.secondary())).verdict == "healthy"


@pytest.mark.parametrize(
    ("wanted", "then"), [(True, "; it rejoins by itself. If it does not: "), (False, ", then: "), (None, ", then: ")]
)
def test_past_the_cap_a_secondary_that_is_away_comes_back_by_a_rejoin(wanted: bool | None, then: str) -> None:
    writer = keeping(None, wal_status="lost")
    writer["rejoin"] = None if wanted is None else {"wanted": wanted, "works": False, "attempts": None}
    verdict = judge("duet", both(writer, None))
    assert "node1 no longer has the WAL that node2 needs; it needs a fresh copy." in verdict.reasons
    assert verdict.next == f"Bring node2 back{then}ansible-playbook duet.backup_ha.rejoin"
