# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator understands every sentence that status may name as the next one."""

from __future__ import annotations

import pytest

from tests.faults.random_advice import ALONE, COMMAND, PLAY, UNKNOWN, WAIT, Advice, advice, higher


@pytest.mark.parametrize(
    ("said", "step"),
    [
        (None, Advice(WAIT)),
        ("ansible-playbook duet.backup_ha.switchover", Advice(PLAY, "switchover")),
        ("ansible-playbook duet.backup_ha.rejoin (or on node1: backup-ha rejoin)", Advice(PLAY, "rejoin")),
        ("On node1: backup-ha resume", Advice(COMMAND, "backup-ha resume", ("node1",))),
        (
            "On node2: systemctl start postgresql@15-main.service",
            Advice(COMMAND, "systemctl start postgresql@15-main.service", ("node2",)),
        ),
        (
            "Start PostgreSQL on node1 and node2 (systemctl start postgresql@15-main.service): the former primary "
            "resumes by itself.",
            Advice(COMMAND, "systemctl start postgresql@15-main.service", ("node1", "node2")),
        ),
        (
            "Start PostgreSQL on node1 (systemctl start postgresql@15-main.service): the former primary resumes by "
            "itself. If it can't be started: ansible-playbook duet.backup_ha.failover",
            Advice(COMMAND, "systemctl start postgresql@15-main.service", ("node1",)),
        ),
        (
            "journalctl -u backup-ha-resume says on each node what it waits for. Where neither asks to be primary, run "
            "on the one with the higher position: backup-ha resume --alone",
            Advice(ALONE),
        ),
        ("Bring node1 back: it resumes by itself. If it is lost: ansible-playbook", Advice(WAIT)),
        ("Bring node2 back; it follows by itself.", Advice(WAIT)),
        ("Look at SSH on node2.", Advice(WAIT)),
        ("Look at the servers and the network.", Advice(WAIT)),
        ("Wait a moment and look again; if it stays, journalctl says why.", Advice(WAIT)),
        ("Wait a moment: node1 is rejoining by itself.", Advice(WAIT)),
        ("Wait a moment: node1 rejoins by itself. If it does not: ansible-playbook", Advice(WAIT)),
        ("Pray.", Advice(UNKNOWN, "Pray.")),
    ],
)
def test_advice(said: str | None, step: Advice) -> None:
    assert advice(said) == step


def test_advice_in_a_word() -> None:
    assert str(advice("On node1: backup-ha resume")) == "backup-ha resume on node1"
    assert str(advice("Look at SSH on node2.")) == "wait"


def test_the_higher_position() -> None:
    assert higher({"node1": (3, 500), "node2": (4, 100)}) == "node2"
    assert higher({"node1": (4, 500), "node2": (4, 100)}) == "node1"
    assert higher({"node2": (4, 100), "node1": (4, 100)}) == "node1"
