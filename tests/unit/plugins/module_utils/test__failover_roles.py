# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who takes over from whom, whatever the two nodes say."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._failover_roles import roles
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds

WAITING = worlds.changed(worlds.secondary("node1"), "waits", to="the other node is on timeline 4, this one on 3")
ROLES = [
    pytest.param(worlds.both(None, worlds.secondary()), "", ("node1", "node2"), "", id="the primary is silent"),
    pytest.param(
        worlds.both(worlds.stopped("node1"), worlds.secondary()), "", ("node1", "node2"), "", id="it is stopped"
    ),
    pytest.param(
        worlds.both(worlds.primary(), worlds.secondary()), "", ("node1", "node2"), "", id="it serves: judged later"
    ),
    pytest.param(
        worlds.both(None, worlds.primary("node2")), "node1", ("node1", "node2"), "", id="it has been replaced already"
    ),
    pytest.param(
        worlds.both(None, worlds.primary("node2")), "", ("node2", "node1"), "no secondary", id="nobody to replace it"
    ),
    pytest.param(worlds.both(WAITING, worlds.secondary()), "", ("node1", "node2"), "", id="it waits"),
    pytest.param(
        worlds.both(worlds.secondary("node1"), worlds.secondary()), "node2", ("node2", "node1"), "", id="named"
    ),
    pytest.param(
        worlds.both(worlds.secondary("node1"), worlds.secondary()), "", ("", ""), "Both nodes are read-only", id="both"
    ),
    pytest.param(worlds.both(None, None), "", ("node1", ""), "does not answer over SSH", id="nobody answers"),
    pytest.param(
        worlds.both(None, worlds.stopped("node2")), "", ("node1", ""), "node2 is stopped", id="the secondary is stopped"
    ),
    pytest.param(
        worlds.both(worlds.primary(), worlds.primary("node2")), "", ("node1", ""), "no secondary", id="a split"
    ),
]


@pytest.mark.parametrize(("nodes", "confirmed", "names", "said"), ROLES)
def test_who_takes_over_from_whom(nodes: worlds.Nodes, confirmed: str, names: tuple[str, str], said: str) -> None:
    primary, secondary, refusals = roles(nodes, confirmed)
    assert (primary, secondary) == names
    assert bool(refusals) == bool(said) and said in " ".join(refusals)
