# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A standby's parameters against its primary's, and what is said of them."""

from __future__ import annotations

from typing import Any

from ansible_collections.duet.backup_ha.plugins.module_utils._parameters import (
    STANDBY_MINIMUMS,
    describe_too_small,
    too_small,
)
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.fixed_dictionaries({name: st.integers(0, 300) for name in STANDBY_MINIMUMS.values()})


@given(VALUES, VALUES)
def test_exactly_the_smaller_ones_are_found(own: dict[str, int], needed: dict[str, int]) -> None:
    found = too_small({name: str(value) for name, value in own.items()}, needed)
    assert found == {name: (own[name], needed[name]) for name in own if own[name] < needed[name]}


def test_what_is_unknown_is_no_reason() -> None:
    assert too_small({}, {"max_connections": 100}) == {} == too_small({"max_connections": "10"}, {})
    assert describe_too_small("node2", {"control": None, "unit": "postgresql@15-main.service"}) == []


def test_one_sentence_names_all_and_says_what_to_do() -> None:
    database: dict[str, Any] = {
        "unit": "postgresql@15-main.service",
        "settings": {"max_connections": "50", "max_wal_senders": "5", "max_worker_processes": "8"},
        "control": {"standby_minimums": {"max_connections": 100, "max_wal_senders": 10, "max_worker_processes": 8}},
    }
    (said,) = describe_too_small("node2", database)
    assert "On node2 max_connections is 50 and the primary has, or had, 100, max_wal_senders is 5 and" in said
    assert "systemctl restart postgresql@15-main.service" in said and "max_worker_processes" not in said
