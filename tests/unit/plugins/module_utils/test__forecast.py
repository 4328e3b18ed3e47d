# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a stop will take: every part from what was measured, and what is too long is refused with numbers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._forecast import (
    ASSUMED_FILE_S,
    Forecast,
    archive_forecast,
    compare,
    forecast_of,
    forecast_refusals,
    replay_forecast,
    seconds_per_file,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from hypothesis import given
from hypothesis import strategies as st

USER = "backup_ha"
QUICK = Forecast("node1", checkpoint_s=0.05)


@pytest.mark.parametrize(
    ("done", "ready", "seconds"),
    [
        pytest.param([], [], None, id="nothing known"),
        pytest.param([(10.0, 10.5)], [], 0.5, id="one"),
        pytest.param([(10.0, 12.0), (10.1, 14.0), (10.2, 16.0)], [], 2.0, id="one after the other"),
        pytest.param([(10.2, 16.0), (10.0, 12.0), (10.1, 14.0)], [], 2.0, id="in any order"),
        pytest.param([(10.0, 10.1), (20.0, 20.1), (30.0, 35.0)], [], 0.1, id="a single slow one"),
        pytest.param([(n, n + 0.1) for n in range(10, 20)] + [(30.0, 32.0), (40.0, 42.0)], [], 2.0, id="slower now"),
        pytest.param(
            [(n, n + 2.0) for n in range(10, 50, 5)] + [(60.0, 60.1), (70.0, 70.1)], [], 2.0, id="usually slow"
        ),
        pytest.param([(10.0, 10.1)], [95.0], 5.0, id="the one under way takes longer"),
        pytest.param([(10.0, 10.1)], [99.9, 9.0], 89.9, id="it waits since the last one was archived"),
        pytest.param([], [97.0, 98.0], 3.0, id="none was archived yet"),
        pytest.param([(10.0, 9.0)], [], None, id="a clock that went back"),
        pytest.param([(10.0, 12.0), (20.0, 20.0), (30.0, 30.0)], [], 2.0, id="received as a standby"),
    ],
)
def test_seconds_per_file(done: list[tuple[float, float]], ready: list[float], seconds: float | None) -> None:
    found = seconds_per_file(done, ready, now=100.0)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_only_the_last_files_tell_how_long_one_takes() -> None:
    slow = [(float(n * 100), n * 100 + 50.0) for n in range(20)]
    quick = [(5000.0 + n, 5000.1 + n) for n in range(8)]
    assert seconds_per_file(slow + quick, [], now=9000.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("mode", "waiting", "file_s", "expected"),
    [
        ("off", 5, 2.0, (0, 0.0)),
        ("on", 0, 2.0, (1, 2.0)),
        ("always", 3, 2.0, (4, 8.0)),
        ("on", 1, None, (2, 2 * ASSUMED_FILE_S)),
    ],
)
def test_the_archiver(mode: str, waiting: int, file_s: float | None, expected: tuple[int, float]) -> None:
    assert archive_forecast({"mode": mode, "waiting": waiting}, file_s) == expected


@pytest.mark.parametrize(
    ("senders", "seconds"),
    [
        ([], 0.0),
        ([{"user": USER, "lag_bytes": 0, "lag_s": 3.0}], 0.0),
        ([{"user": USER, "lag_bytes": 10, "lag_s": 3.0}], 3.0),
        ([{"user": USER, "lag_bytes": 10, "lag_s": None}], 0.0),
        ([{"user": "barman", "lag_bytes": 10, "lag_s": 3.0}], 0.0),
    ],
)
def test_the_replay(senders: list[dict[str, Any]], seconds: float) -> None:
    assert replay_forecast(senders, USER) == seconds


def stop(**measured: float | None) -> dict[str, Any]:
    return {"flush_s": None, "checkpoint_s": None, "archive_file_s": None, "workload_s": None, **measured}


def test_a_forecast_from_both_nodes() -> None:
    first, second = worlds.primary("node1", "node2"), worlds.secondary("node2", "node1")
    first["postgresql"]["archive"].update(mode="on", waiting=2)
    first["stop"] = stop(flush_s=4.0, checkpoint_s=0.5, archive_file_s=1.0)
    second["stop"] = stop(workload_s=0.25)
    found = forecast_of(first, second, USER)
    assert found == Forecast("node1", 0.5, archive_files=3, archive_s=3.0, replay_s=0.0, before_s=4.25)
    assert found.as_dict()["stop_s"] == pytest.approx(3.55)
    assert found.as_dict()["without_writer_s"] == pytest.approx(3.65)


def test_a_node_that_measured_nothing_forecasts_what_it_can() -> None:
    first, second = worlds.primary("node1", "node2"), worlds.secondary("node2", "node1")
    found = forecast_of(first, second, USER)
    assert found.checkpoint_s is None
    assert "its checkpoint not known yet" in found.sentence()


@pytest.mark.parametrize(
    ("forecast", "sentence"),
    [
        (QUICK, "The stop will take about 0.10 s (0.05 s for its checkpoint); nobody will write for about 0.20 s."),
        (
            Forecast("node1", 12.0, archive_files=1, archive_s=2.0, replay_s=3.0, before_s=40.0),
            "The stop will take about 14 s (12 s for its checkpoint, 2.0 s for 1 WAL file to be archived, and 3.0 s "
            "for what the other node has still to replay); nobody will write for about 17 s. What comes before the "
            "stop will take about 40 s.",
        ),
        (
            Forecast("node1", 0.0, archive_files=4, archive_s=8.0),
            "The stop will take about 8.1 s (0.00 s for its checkpoint, 8.0 s for 4 WAL files to be archived); nobody "
            "will write for about 8.2 s.",
        ),
    ],
)
def test_the_sentence(forecast: Forecast, sentence: str) -> None:
    assert forecast.sentence() == sentence


@pytest.mark.parametrize(
    ("forecast", "words"),
    [
        (QUICK, []),
        (
            Forecast("node1", 95.0),
            ["Nobody could write for about 95 s", "stop of node1", "30 s are allowed (backup_ha_switchover_timeout)"],
        ),
        (Forecast("node1", 95.0), ["Switch over when less is written, or allow more time."]),
        (Forecast("node1", 1.0, 40, 80.0), ["80 s for 40 WAL files", "Wait until the archiver of node1 has caught up"]),
        (Forecast("node1", 1.0, replay_s=60.0), ["Wait until the other node has caught up"]),
        (
            Forecast("node1", 1.0, before_s=299.5),
            ["before the stop of node1", "about 300 s", "300 s are left", "backup_ha_switchover_deadline"],
        ),
    ],
)
def test_what_takes_too_long_is_refused(forecast: Forecast, words: list[str]) -> None:
    found = forecast_refusals(forecast, timeout=30.0, deadline=300.0)
    assert len(found) == bool(words)
    for word in words:
        assert word in found[0]


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 1000), st.floats(0.1, 1000), st.floats(0.1, 1000))
def test_whatever_is_not_refused_fits(
    checkpoint: float, replay: float, before: float, limit: float, all_: float
) -> None:
    forecast = Forecast("node1", checkpoint, replay_s=replay, before_s=before)
    fits = forecast.without_writer_s <= limit and before + forecast.without_writer_s <= all_
    assert fits == (not forecast_refusals(forecast, limit, all_))


def test_what_came_is_compared() -> None:
    assert compare(QUICK.as_dict(), {"stop_s": 0.04, "without_writer_s": 11.2}) == (
        "The stop took 0.04 s (forecast: 0.10 s), and nobody could write for 11 s (forecast: 0.20 s)."
    )


@pytest.mark.parametrize(("forecast", "took"), [({}, {}), ({}, {"without_writer_s": 1.0}), (QUICK.as_dict(), {})])
def test_nothing_is_compared_where_nothing_was_stopped(forecast: dict[str, Any], took: dict[str, float]) -> None:
    assert compare(forecast, took) == ""
