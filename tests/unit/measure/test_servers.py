# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of an inventory."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("yaml")

from measure.servers import Servers

LAB = Path(__file__).resolve().parents[3] / "lab" / "inventory.yml"


@pytest.mark.skipif(not LAB.exists(), reason="the collection alone has no lab")
def test_the_default_lab_can_be_read() -> None:
    servers = Servers.of(LAB)
    assert servers.cluster == "duet"
    assert list(servers.nodes) == ["node1", "node2"]
    assert servers.endpoint not in servers.nodes.values()
    assert servers.ssh[0] == "ssh"
    assert "{{" not in " ".join(servers.ssh)
