# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo shows of the status playbook's output."""

from __future__ import annotations

import pytest

pytest.importorskip("psycopg")

from demo.story import status_table

TABLE = "Cluster duet: HEALTHY\n\nNODE   ROLE\nnode1  primary"


@pytest.mark.parametrize(
    "after", ["ok: [node1]\n", "fatal: [node1]: FAILED! => {}\n", "PLAY RECAP ****\nnode1 : ok=1\n"]
)
def test_the_table_is_cut_out(after: str) -> None:
    assert status_table(f"PLAY [x]\n\nTASK [Judge the clusters] ***\n{TABLE}\n{after}") == TABLE


def test_without_a_table_everything_is_shown() -> None:
    assert status_table("[ERROR]: no such inventory") == "[ERROR]: no such inventory"
