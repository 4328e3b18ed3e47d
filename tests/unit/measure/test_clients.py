# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The writer's and the prober's records of what servers do to them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

pytest.importorskip("psycopg")

from ansible_collections.duet.backup_ha.tests.unit.measure.fake_server import (
    DONE,
    READY,
    FakeServer,
    error,
    message,
)

from measure import probe, writer
from measure.records import Attempt, Connect, Outcome, Record

Make = Callable[..., FakeServer]


def records_of(server: FakeServer, count: int) -> list[Record]:
    """Let a writer work until it has noted this many records."""
    server.listen()
    server.serve()
    noted: list[Record] = []
    spec = writer.Spec(server.conninfo, run="r", pace_ms=1)
    writer.Writer(spec, noted.append, lambda: len(noted) >= count).work()
    return noted


def test_every_number_is_sent_once(fake_server: Make) -> None:
    answers = {3: b"", 5: error("ERROR", "25006", "read-only"), 7: error("FATAL", "57P01", "going down")}
    noted = records_of(fake_server(lambda n: answers.get(n, DONE)), 14)
    attempts = [r for r in noted if isinstance(r, Attempt)]
    assert [a.number for a in attempts] == list(range(1, len(attempts) + 1))
    assert [a.outcome for a in attempts[:8]] == [
        *[Outcome.ACCEPTED] * 2,
        Outcome.DOUBT,
        Outcome.ACCEPTED,
        Outcome.REFUSED,
        Outcome.ACCEPTED,
        Outcome.DOUBT,
        Outcome.ACCEPTED,
    ]
    assert sum(isinstance(r, Connect) for r in noted) == 4


def test_attempts_are_in_time_order(fake_server: Make) -> None:
    noted = records_of(fake_server(), 10)
    attempts = [r for r in noted if isinstance(r, Attempt)]
    for earlier, later in pairwise(attempts):
        assert earlier.started <= earlier.ended <= later.started


def row(value: str) -> bytes:
    """Build the whole answer to a statement that returns one number."""
    column = b"c\0" + bytes(4) + bytes(2) + bytes([0, 0, 0, 23]) + bytes([0, 4]) + bytes([255] * 4) + bytes(2)
    data = bytes([0, 1, 0, 0, 0, len(value)]) + value.encode()
    return (
        message(b"1", b"")
        + message(b"2", b"")
        + message(b"T", bytes([0, 1]) + column)
        + message(b"D", data)
        + message(b"C", b"INSERT 0 1\0")
        + READY
    )


@pytest.mark.parametrize(
    ("answer", "outcome", "timeline"),
    [
        pytest.param(row("7"), Outcome.ACCEPTED, 7, id="accepted"),
        pytest.param(error("ERROR", "25006", "read-only"), Outcome.REFUSED, None, id="a standby"),
        pytest.param(error("ERROR", "42P01", "no such table"), Outcome.BROKEN, None, id="no table"),
        pytest.param(error("ERROR", "42501", "no permission"), Outcome.BROKEN, None, id="no permission"),
        pytest.param(error("FATAL", "57P01", "going down"), Outcome.DOUBT, None, id="a shutdown"),
        pytest.param(b"", Outcome.DOUBT, None, id="a broken connection"),
    ],
)
def test_probe(fake_server: Make, answer: bytes, outcome: Outcome, timeline: int | None) -> None:
    server = fake_server(lambda _: answer)
    server.listen()
    server.serve()
    seen = probe.Prober(probe.Spec(server.conninfo, "node1")).probe()
    assert (seen.node, seen.outcome, seen.timeline) == ("node1", outcome, timeline)
    assert seen.started <= seen.finished


@pytest.mark.parametrize(
    ("text", "sqlstate", "outcome"),
    [
        ("the database system is starting up", "57P03", Outcome.UNREACHABLE),
        ("the database system is shutting down", "57P03", Outcome.UNREACHABLE),
        ("sorry, too many clients already", "53300", Outcome.UNREACHABLE),
        ('password authentication failed for user "duet_writer"', "28P01", Outcome.BROKEN),
        ('no pg_hba.conf entry for host "198.18.0.1"', "28000", Outcome.BROKEN),
        ('database "duet_measure" does not exist', "3D000", Outcome.BROKEN),
    ],
)
def test_a_refused_connection_is_told_from_a_wrong_password(
    fake_server: Make, text: str, sqlstate: str, outcome: Outcome
) -> None:
    server = fake_server(welcome=error("FATAL", sqlstate, text))
    server.listen()
    server.serve()
    assert probe.Prober(probe.Spec(server.conninfo, "node1")).probe().outcome is outcome


def test_nobody_listening_is_unreachable(fake_server: Make) -> None:
    seen = probe.Prober(probe.Spec(fake_server().conninfo, "node1")).probe()
    assert seen.outcome is Outcome.UNREACHABLE
