# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tested here runs on no node: events go to a folder of the test, and to nobody's journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _deliver, _events, _file_state, _notices, _spool


@pytest.fixture(autouse=True)
def spool(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the events of this test are kept."""
    folder = tmp_path_factory.mktemp("events")
    monkeypatch.setattr(_spool, "SPOOL", folder / "spool")
    monkeypatch.setattr(_events, "JOURNAL", str(folder / "journal"))
    monkeypatch.setattr(_notices, "SAID_PATH", folder / "notices.json")
    monkeypatch.setattr(_file_state, "STATE_PATH", folder / "files.json")
    monkeypatch.setattr(_deliver, "FAILED_PATH", folder / "hook-failed")
    return folder / "spool"
