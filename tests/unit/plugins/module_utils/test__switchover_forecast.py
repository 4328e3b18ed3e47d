# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the check of a switchover says about how long it will take, from what was measured."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._switchover import Limits, forecast, refusals
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.pair_changes import (
    SECOND_WRITER,
    Change,
    archive,
    foreign_streamers,
    lets_nobody_in,
    primary,
    replace,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Node

MEASURED = {"flush_s": 4.0, "checkpoint_s": 0.5, "archive_file_s": 2.0, "workload_s": 0.2}


def measured(nodes: dict[str, Node | None], **changed: float | None) -> None:
    primary(nodes)["stop"] = {**MEASURED, **changed}


def test_streams_that_may_be_ended_are_no_reason() -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    foreign_streamers(nodes)
    assert refusals(nodes, Limits(end_streams=True)) == []
    assert "backup_ha_on_foreign_streamers: end" in refusals(nodes)[0]


def test_without_a_measurement_there_is_no_forecast() -> None:
    assert forecast({**worlds.pair()}) is None


def test_what_was_measured_gives_a_forecast() -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    measured(nodes)
    found = forecast(nodes)
    assert found and (found.node, found.checkpoint_s, found.before_s) == ("node1", 0.5, 4.2)


@pytest.mark.parametrize(
    "change",
    [replace(node1=worlds.stopped("node1")), replace(node2=None), replace(node2=SECOND_WRITER), lets_nobody_in],
    ids=["a stopped former primary", "silent secondary", "two writers", "lets nobody in"],
)
def test_nothing_is_forecast_where_nothing_can_be_stopped(change: Change) -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    measured(nodes)
    change(nodes)
    assert forecast(nodes) is None


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(), ""),
        (Limits(timeout=0.5), "backup_ha_switchover_timeout"),
        (Limits(deadline=4.0), "backup_ha_switchover_deadline"),
    ],
)
def test_what_would_take_too_long_is_refused(limits: Limits, words: str) -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    measured(nodes)
    assert [words in reason for reason in refusals(nodes, limits)] == ([True] if words else [])


def test_a_reason_that_has_to_be_mended_first_hides_the_forecast() -> None:
    nodes: dict[str, Node | None] = {**worlds.pair()}
    measured(nodes)
    archive(waiting=99)(nodes)
    (sentence,) = refusals(nodes, Limits(timeout=0.5))
    assert "99 WAL files wait" in sentence
