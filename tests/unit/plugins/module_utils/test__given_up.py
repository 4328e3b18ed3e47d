# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only sessions that wait for the secondary, and whose client has closed its connection, are ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _given_up

# As the kernel prints them: listening, open, closed by the client, another server's port, and over IPv6.
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 1
   1: 0A0013C6:1538 140013C6:D431 01 00000000:00000000 00:00000000 00000000   105        0 2
   2: 0A0013C6:1538 140013C6:D432 08 00000000:00000000 00:00000000 00000000   105        0 3
   3: 0A0013C6:1539 140013C6:D433 08 00000000:00000000 00:00000000 00000000   105        0 4
"""
TABLE6 = """\
  sl  local_address                         remote_address                        st tx_queue
   0: B80D0120000000000000000010000000:1538 B80D0120000000000000000020000000:D434 08 00000000:00000000
"""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Who was told to end; every client of the tables waits."""
    ended: list[Any] = []
    paths = [tmp_path / name for name in ("tcp", "tcp6", "none")]
    for path, text in zip(paths, (TABLE, TABLE6), strict=False):
        path.write_text(text, encoding="ascii")
    clients = [("198.19.0.20", 54321), ("198.19.0.20", 54322), ("198.19.0.20", 54323), ("2001:db8::20", 54324)]

    def rows(_connection: object, query: str, *parameters: Any) -> list[dict[str, Any]]:
        if parameters:
            ended.extend(*parameters)
            return []
        assert "SyncRep" in query
        return [{"pid": port, "address": address, "port": port} for address, port in clients]

    monkeypatch.setattr(_given_up, "TABLES", paths)
    monkeypatch.setattr(_given_up, "rows", rows)
    return ended


def test_who_is_ended(told: list[Any]) -> None:
    assert _given_up.end_given_up(None, 5432) == 2  # type: ignore[arg-type]
    assert told == [54322, 54324]


def test_nobody_who_still_waits(monkeypatch: pytest.MonkeyPatch, told: list[Any]) -> None:
    monkeypatch.setattr(_given_up, "TABLES", [])
    assert _given_up.end_given_up(None, 5432) == 0  # type: ignore[arg-type]
    monkeypatch.setattr(_given_up, "rows", lambda *_arguments: [])
    assert _given_up.end_given_up(None, 5432) == 0  # type: ignore[arg-type]
    assert told == []
