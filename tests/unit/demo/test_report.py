# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's report: its keys, and that nothing wrong or unmeasured passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demo.report import Backup, Report, Restore, Switchover

GOOD = Report(
    assemble_s=40.0,
    backup=Backup(1500, 220_000_000),
    switchover=Switchover(120.5, 6.1, 0, False),
    restore=Restore(1500, 0),
)


def test_the_keys_are_the_promised_ones() -> None:
    content = GOOD.as_json(GOOD.faults())
    assert list(content) == ["assemble_s", "backup", "switchover", "restore", "verdict"]
    assert list(content["backup"]) == ["files", "bytes"]
    assert list(content["switchover"]) == ["write_gap_ms", "playbook_s", "lost_commits", "two_writers"]
    assert list(content["restore"]) == ["files", "mismatched"]
    assert content["verdict"] == "passed"


@pytest.mark.parametrize(
    ("report", "fault"),
    [
        (replace(GOOD, assemble_s=None), "not assembled"),
        (replace(GOOD, backup=Backup(999, 220_000_000)), "fewer than 1000 files backed up"),
        (replace(GOOD, backup=Backup(1500, 199_999_999)), "fewer than 200000000 bytes"),
        (replace(GOOD, backup=Backup()), "fewer than 1000 files backed up"),
        (replace(GOOD, switchover=replace(GOOD.switchover, write_gap_ms=None)), "gap was not measured"),
        (replace(GOOD, switchover=replace(GOOD.switchover, playbook_s=None)), "not timed"),
        (replace(GOOD, switchover=replace(GOOD.switchover, lost_commits=1)), "lost commits: 1"),
        (replace(GOOD, switchover=replace(GOOD.switchover, lost_commits=None)), "lost commits: not measured"),
        (replace(GOOD, switchover=replace(GOOD.switchover, two_writers=True)), "two writers: True"),
        (replace(GOOD, switchover=replace(GOOD.switchover, two_writers=None)), "two writers: not measured"),
        (replace(GOOD, restore=Restore(1500, 2)), "differ: 2"),
        (replace(GOOD, restore=Restore(999, 0)), "fewer than 1000 files restored"),
        (replace(GOOD, restore=Restore(1500, None)), "differ: not measured"),
    ],
)
def test_what_is_wrong_or_unmeasured_fails(report: Report, fault: str) -> None:
    faults = report.faults()
    assert any(fault in found for found in faults)
    assert report.as_json(faults)["verdict"] == "failed"


def test_a_fault_that_no_figure_shows_fails_too() -> None:
    assert GOOD.as_json(["status ended with 2"])["verdict"] == "failed"
