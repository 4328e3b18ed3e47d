# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which histories keep a server with a fork from starting, and are dropped before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._control import ControlData
from ansible_collections.duet.backup_ha.plugins.module_utils._past import drop_outvoted_histories, leaves_out
from ansible_collections.duet.backup_ha.plugins.module_utils._timeline import parse_history

THIRD = "1\t0/3000000\treason\n2\t0/5000000\treason\n"  # the new primary left timeline 2 at 0/5000000


def control(checkpoint: str, timeline: int, recovery: str = "0/0", recovery_timeline: int = 0) -> ControlData:
    return ControlData("in archive recovery", checkpoint, timeline, "7", False, True, recovery, recovery_timeline)


@pytest.mark.parametrize(
    ("state", "left_out"),
    [
        (control("0/4000000", 2), False),
        (control("0/5000028", 2), True),
        (control("0/5000000", 2), True),
        (control("0/2000000", 1, "0/4000000", 2), False),
        (control("0/4000000", 2, "0/5000000", 2), False),
        (control("0/4000000", 2, "0/5000001", 2), True),
        (control("0/3000028", 1), True),
        (control("0/6000000", 3, "0/6000100", 3), False),
    ],
)
def test_where_postgresql_refuses_to_go_along(state: ControlData, left_out: bool) -> None:
    assert leaves_out(parse_history(THIRD, 3), state) is left_out


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (control("0/5000028", 2), ["00000002.history", "000000030000000000000005"]),
        (control("0/4000000", 2), ["00000002.history", "00000003.history", "000000030000000000000005"]),
        (control("0/6000000", 3), ["00000002.history", "00000003.history", "000000030000000000000005"]),
    ],
)
def test_what_is_dropped(tmp_path: Path, state: ControlData, kept: list[str]) -> None:
    wal = tmp_path / "pg_wal"
    wal.mkdir()
    (wal / "00000002.history").write_text("1\t0/3000000\treason\n", encoding="ascii")
    (wal / "00000003.history").write_text(THIRD, encoding="ascii")
    (wal / "000000030000000000000005").touch()
    drop_outvoted_histories(str(tmp_path), state)
    assert sorted(path.name for path in wal.iterdir()) == kept
