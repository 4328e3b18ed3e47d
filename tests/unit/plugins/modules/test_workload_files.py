# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secondary applies what the primary has written until now."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _file_sync
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import UnreachableError
from ansible_collections.duet.backup_ha.plugins.modules import workload_files
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

Run = Callable[..., dict[str, Any]]


def unreachable(*_words: object) -> None:
    raise UnreachableError("node1 does not answer.")


@pytest.mark.parametrize("answers", [True, False])
def test_it_waits_for_what_the_primary_has_written(
    run_module: Run, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    done: list[Any] = []

    def follow(*_words: object, **_mode: bool) -> _file_sync.Done:
        done.append("applied")
        return _file_sync.Done(["/etc/a"])

    replaced = {
        "require_config": lambda: CONFIG,
        "connect_cluster_database": lambda _server: nullcontext("local"),
        "connect_peer": (lambda _config: nullcontext("peer")) if answers else unreachable,
        "one": lambda session, _query: f"position of {session}",
        "await_replay_of": lambda session, position, **_bound: done.append((session, position)),
    }
    for name, value in replaced.items():
        monkeypatch.setattr(workload_files, name, value)
    monkeypatch.setattr(_file_sync, "files_locked", nullcontext)
    monkeypatch.setattr(_file_sync, "follow", follow)
    assert run_module(workload_files.main, state="applied")["written"] == ["/etc/a"]
    assert done == [("local", "position of peer"), "applied"][0 if answers else 1 :]
