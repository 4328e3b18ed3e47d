# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lost commits, found among made ones."""

from __future__ import annotations

import pytest

from measure.loss import lost_commits
from measure.records import Attempt, Outcome


def attempts(**numbers: list[int]) -> list[Attempt]:
    """Attempts by outcome, for example `attempts(accepted=[1, 2], doubt=[3])`."""
    return [
        Attempt(number, number / 1000, number / 1000 + 0.001, Outcome(outcome))
        for outcome, found in numbers.items()
        for number in found
    ]


@pytest.mark.parametrize(
    ("made", "present", "lost", "unacknowledged"),
    [
        pytest.param(attempts(accepted=[1, 2, 3]), [1, 2, 3], (), 0, id="all there"),
        pytest.param(attempts(accepted=[1, 2, 3]), [1, 3], (2,), 0, id="one lost in the middle"),
        pytest.param(attempts(accepted=[1, 2, 3]), [1, 2], (3,), 0, id="the last one lost"),
        pytest.param(attempts(accepted=[1, 2, 3]), [], (1, 2, 3), 0, id="all lost"),
        pytest.param(attempts(accepted=[1, 2], doubt=[3]), [1, 2], (), 0, id="doubt may be absent"),
        pytest.param(attempts(accepted=[1, 2], doubt=[3]), [1, 2, 3], (), 1, id="doubt may be there"),
        pytest.param(attempts(accepted=[1, 4], doubt=[3]), [1, 3], (4,), 1, id="a spare row hides no loss"),
        pytest.param(attempts(accepted=[1], refused=[2]), [1], (), 0, id="refused is not lost"),
        pytest.param(attempts(accepted=[2, 1]), [1, 2, 2], (), 0, id="neither order nor repetition matters"),
    ],
)
def test_loss(made: list[Attempt], present: list[int], lost: tuple[int, ...], unacknowledged: int) -> None:
    loss = lost_commits(made, present)
    assert loss.lost == lost
    assert loss.count == len(lost)
    assert loss.unacknowledged == unacknowledged


@pytest.mark.parametrize("made", [[], attempts(doubt=[1]), attempts(refused=[1], unreachable=[2])])
def test_no_acknowledgement_is_no_measurement(made: list[Attempt]) -> None:
    assert lost_commits(made, [1, 2]).count is None
