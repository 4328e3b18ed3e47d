# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark of a data directory that must not be started, and the timelines that a directory tells of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._past import read_past
from ansible_collections.duet.backup_ha.plugins.module_utils._unusable import (
    clear_unusable,
    is_unusable,
    mark_unusable,
    refuse_unusable,
)

SEGMENT = 16 * 1024 * 1024


def test_the_mark(tmp_path: Path) -> None:
    path = tmp_path / "state" / "rewinding.json"
    clear_unusable(path)
    assert not is_unusable(path)
    refuse_unusable(path)
    mark_unusable("/forks/1", path)
    assert is_unusable(path)
    assert json.loads(path.read_text(encoding="utf-8"))["fork"] == "/forks/1"
    with pytest.raises(RefusedError) as raised:
        refuse_unusable(path)
    assert "backup-ha rejoin" in raised.value.reasons[0]
    clear_unusable(path)
    assert not is_unusable(path)


@pytest.mark.parametrize("text", ["", "null", "{"])
def test_a_mark_that_can_not_be_read_is_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rewinding.json"
    path.write_text(text, encoding="utf-8")
    assert is_unusable(path)


@pytest.mark.parametrize(
    ("control_timeline", "lsn", "timelines"),
    [
        (1, 3 * SEGMENT + 5, [1]),
        (2, 3 * SEGMENT + 5, [1, 2]),
        (1, 4 * SEGMENT + 5, [1, 2]),
        (1, 5 * SEGMENT, [1, 2]),
        (1, 5 * SEGMENT + 1, [1]),
        (1, 0, [1]),
    ],
    ids=[
        "a former primary",
        "the control file knows",
        "only the WAL knows",
        "to a segment's last byte",
        "no segment yet",
        "nothing known",
    ],
)
def test_the_past_is_read_from_the_disk(tmp_path: Path, control_timeline: int, lsn: int, timelines: list[int]) -> None:
    wal = tmp_path / "pg_wal"
    wal.mkdir()
    (wal / "00000002.history").write_text("1\t0/3000060\twhy\n", encoding="ascii")
    # The last one is without a history file: a name that nothing else confirms.
    for name in ("000000010000000000000003", "000000020000000000000004", "000000070000000000000005"):
        (wal / name).touch()
    past = read_past(str(tmp_path), control_timeline, lsn, SEGMENT)
    assert [stretch.timeline for stretch in past] == timelines
