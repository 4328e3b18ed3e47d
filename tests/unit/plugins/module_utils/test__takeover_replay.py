# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before a standby is promoted it has replayed all that it received, however long that takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _takeover
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import DeadlineError
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG


class Replay:
    """A standby that replays; each row is what one look at it gives, the last one again and again."""

    def __init__(self, *rows: tuple[str | None, str | None, str | None]) -> None:
        self.rows = list(rows)
        self.looks = 0

    def execute(self, _query: str) -> Replay:
        self.looks += 1
        return self

    def fetchone(self) -> tuple[str | None, str | None, str | None]:
        return self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]


@pytest.mark.parametrize(
    ("rows", "looks"),
    [
        ([("0/3000000", "0/3000000", None)], 1),
        ([("0/1", "0/9", None), ("0/9", "0/9", None)], 2),
        ([("0/1", "0/9", "RecoveryWalStream")], 4),
        ([("0/1", "0/9", "RecoveryWalStream"), ("0/5", "0/9", "RecoveryWalStream"), ("0/9", "0/9", None)], 3),
        ([("0/1", None, "RecoveryRetrieveRetryInterval")], 4),
    ],
)
def test_all_that_was_received_is_replayed(
    monkeypatch: pytest.MonkeyPatch, rows: list[tuple[str | None, str | None, str | None]], looks: int
) -> None:
    monkeypatch.setattr(_takeover, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _seconds: None))
    replay = Replay(*rows)
    _takeover.await_everything_replayed(replay, CONFIG)  # type: ignore[arg-type]
    assert replay.looks == looks


def test_a_replay_that_stands_still_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0}

    def sleep(seconds: float) -> None:
        clock["now"] += seconds

    monkeypatch.setattr(_takeover, "time", SimpleNamespace(monotonic=lambda: clock["now"], sleep=sleep))
    replay = Replay(("0/1", "0/9", "RecoveryApplyDelay"))
    with pytest.raises(DeadlineError, match="up to 0/9 and replays nothing beyond 0/1"):
        _takeover.await_everything_replayed(replay, CONFIG)  # type: ignore[arg-type]
    assert clock["now"] > _takeover.REPLAY_STALL_S
