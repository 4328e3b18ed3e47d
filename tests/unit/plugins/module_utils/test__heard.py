# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time of the last message outlives the receiver that had it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _heard


def test_the_last_note_is_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_heard, "HEARD_PATH", tmp_path / "run" / "heard")
    assert _heard.last_heard() is None
    for at in (1000.25, 1001.5):
        _heard.note_heard(at)
        assert _heard.last_heard() == at
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["heard"]


def test_half_a_note_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_heard, "HEARD_PATH", tmp_path / "heard")
    _heard.HEARD_PATH.write_text("")
    assert _heard.last_heard() is None
