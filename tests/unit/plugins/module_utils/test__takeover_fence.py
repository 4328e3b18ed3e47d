# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fence in a takeover: asked only when it is needed, and believed only when nobody contradicts."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _takeover
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._fence import Fence
from ansible_collections.duet.backup_ha.plugins.module_utils._takeover import Order, look, take_over
from ansible_collections.duet.backup_ha.tests.unit.plugins import evidences
from ansible_collections.duet.backup_ha.tests.unit.plugins.evidences import Evidence, changed
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG
from ansible_collections.duet.backup_ha.tests.unit.plugins.taking_over import ANYTHING, Scene


def test_a_failed_fence_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.silent(), fence=BackupHaError("exit code 1"))
    scene.fence, scene.breaks_session = (Fence("fence_a"), ""), False
    assert "exit code 1" in scene.refused()
    assert scene.events == ["fence"]


@pytest.mark.parametrize(("problem", "said"), [("", "removed meanwhile"), ("it is not JSON.", "it is not JSON.")])
def test_a_fence_that_is_gone_when_it_is_needed_refuses(
    monkeypatch: pytest.MonkeyPatch, problem: str, said: str
) -> None:
    scene = Scene(monkeypatch, evidences.silent())
    fences = [(Fence("fence_a"), ""), (None, problem)]
    monkeypatch.setattr(_takeover, "find_fence", lambda: fences.pop(0))
    assert said in scene.refused()
    assert scene.events == []


def test_a_fence_that_can_not_be_used_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.down())
    scene.fence = None, "/etc/backup-ha/fence.json is not JSON."
    assert take_over(CONFIG, ANYTHING).changed
    scene.gathered = [evidences.silent()]
    assert scene.fence[1] in " ".join(look(CONFIG, ANYTHING).refusals)


@pytest.mark.parametrize(
    "after",
    [
        changed(evidences.silent(), there={"port": "open", "session": "writer"}),
        changed(evidences.silent(), there={"port": "open"}),
        changed(evidences.silent(), endpoint={"holder": "02:00:00:00:00:01"}),
        changed(evidences.silent(), local={"paused": True}),
    ],
)
def test_a_fence_that_only_says_so_refuses(monkeypatch: pytest.MonkeyPatch, after: Evidence) -> None:
    scene = Scene(monkeypatch, evidences.silent(), after)
    scene.fence = Fence("fence_a"), ""
    assert "The fence reported success, and all the same" in scene.refused()
    assert scene.events == ["fence"]


def test_nobody_is_fenced_for_a_failover_that_is_refused_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, evidences.silent())
    scene.fence = Fence("fence_a"), ""
    assert "Nothing may be lost" in scene.refused(Order(max_loss_bytes=0))
    assert scene.events == []
