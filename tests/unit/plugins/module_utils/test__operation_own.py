# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node does by itself is waited for by whoever wants to do the same, and not for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _operation
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import RefusedError


@pytest.mark.parametrize(
    ("by", "identity", "controller", "waits"),
    [
        ("node1 itself", "ours", "", True),
        ("node1 itself", "other", "", False),
        ("root@control", "ours", "", False),
        ("node1 itself", "ours", _operation.identity_of_process(2**22 + 1), False),
    ],
)
def test_what_a_node_does_by_itself_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, identity: str, controller: str, waits: bool
) -> None:
    path = tmp_path / "operation.json"
    _operation.begin("other", "rejoin", by, "", [], path=path)
    if controller:  # of a process that is dead
        path.write_text(
            path.read_text(encoding="utf-8").replace('"controller": ""', f'"controller": "{controller}"'),
            encoding="utf-8",
        )
    paused: list[float] = []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        _operation.end("other", path)

    monkeypatch.setattr("time.sleep", pause)
    _operation.await_own_end(identity, 60.0, path)
    assert bool(paused) is waits
    assert len(paused) <= 1, "it has ended"
    _operation.await_own_end(identity, 60.0, path)


def test_nobody_waits_for_ever_for_what_a_node_does_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "operation.json"
    _operation.begin("other", "rejoin", _operation.by_itself("node1"), "", [], path=path)
    _operation.await_own_end("ours", 0.3, path)
    with pytest.raises(RefusedError):
        _operation.begin("ours", "rejoin", "root@control", "", [], path=path)
