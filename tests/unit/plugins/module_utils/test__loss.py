# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much is missing, what may be lost, and how that is said."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._loss import (
    ASYNCHRONOUS_BOUND,
    Loss,
    describe_loss,
    estimate_loss,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins import evidences
from ansible_collections.duet.backup_ha.tests.unit.plugins.evidences import BEGAN, RECEIVED, Evidence, changed


@pytest.mark.parametrize(
    ("evidence", "missing", "exact"),
    [
        (evidences.silent(), None, False),
        (changed(evidences.silent(), local={"latest_end": RECEIVED}), 0, False),
        (changed(evidences.silent(), local={"latest_end": "0/3500100"}), 256, False),
        (evidences.standby(lsn="0/3500100"), 256, True),
        (evidences.standby(lsn="0/3500100", timeline=2), None, False),
        (evidences.seen(evidences.stopped("shut down", "0/3500100")), 256, True),
        (evidences.seen(evidences.stopped("shut down", "0/34FFF00")), 0, True),
        (evidences.seen(evidences.stopped("in production", "0/3500100")), 256, False),
        (evidences.seen(evidences.stopped("shut down", "0/3500100", timeline=2)), 256, False),
    ],
)
def test_how_much_is_missing(evidence: Evidence, missing: int | None, exact: bool) -> None:
    found = estimate_loss(evidence, None)
    assert (found.missing_bytes, found.exact) == (missing, exact)


@pytest.mark.parametrize(
    ("synchronous", "wanted", "limit"),
    [(False, None, ASYNCHRONOUS_BOUND), (True, None, 0), (False, 0, 0), (True, 5, 5), (False, 7, 7)],
)
def test_the_bound(synchronous: bool, wanted: int | None, limit: int) -> None:
    evidence = changed(evidences.silent(), local={"synchronous": synchronous})
    assert estimate_loss(evidence, wanted).limit_bytes == limit


@pytest.mark.parametrize(
    ("message", "wal", "heard", "silent_s"),
    [
        (None, None, None, None),
        (BEGAN - 3, None, BEGAN - 3, 3.0),
        (BEGAN - 3, BEGAN - 2, BEGAN - 2, 2.0),
        (None, BEGAN + 1, BEGAN + 1, 0.0),
    ],
)
def test_when_the_primary_was_last_heard(
    message: float | None, wal: float | None, heard: float | None, silent_s: float | None
) -> None:
    found = estimate_loss(changed(evidences.silent(), local={"last_message": message, "last_wal": wal}), None)
    assert (found.heard, found.silent_s) == (heard, silent_s)


@pytest.mark.parametrize(
    ("loss", "said", "unsaid"),
    [
        (Loss(0, True, BEGAN, 7.0, False, 0), "Nothing that node1 wrote is missing", "can't be known"),
        (Loss(10, True, BEGAN, 7.0, False, 99), "Missing on node2: 10 bytes", "at least"),
        (Loss(10, False, BEGAN, 7.0, False, 99), "at least 10 bytes", "Nothing"),
        (Loss(None, False, BEGAN, 7.0, False, 99), "(7 s ago) can't be known", "Missing"),
        (Loss(None, False, None, None, False, 99), "last heard from node1 is unknown", "s ago"),
        (Loss(0, False, BEGAN, 7.0, True, 0), "What node1 acknowledged is on node2", "can't be known"),
    ],
)
def test_the_loss_in_words(loss: Loss, said: str, unsaid: str) -> None:
    words = " ".join(describe_loss("node1", "node2", loss))
    assert said in words and unsaid not in words
