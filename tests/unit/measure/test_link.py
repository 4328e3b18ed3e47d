# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting and asking within bounds, against a server that misbehaves on purpose."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

pytest.importorskip("psycopg")

from ansible_collections.duet.backup_ha.tests.unit.measure.fake_server import DONE, FakeServer, error

from measure.link import QUICK, Limits, LinkError, NotSentError, QueryError, Tally, connect

Make = Callable[..., FakeServer]


def started(server: FakeServer) -> FakeServer:
    server.listen()
    server.serve()
    return server


def test_an_accepted_write_has_no_rows(fake_server: Make) -> None:
    link = connect(started(fake_server()).conninfo, QUICK, 5)
    assert link.ask(b"INSERT", [b"1"], 5) == []
    link.close()


def test_an_error_leaves_the_connection_usable(fake_server: Make) -> None:
    server = started(fake_server(lambda n: error("ERROR", "25006", "read-only") if n == 1 else DONE))
    link = connect(server.conninfo, QUICK, 5)
    with pytest.raises(QueryError) as caught:
        link.ask(b"INSERT", [], 5)
    assert caught.value.sqlstate == "25006"
    assert link.ask(b"INSERT", [], 5) == []


@pytest.mark.parametrize(
    ("answer", "sqlstate"),
    [(error("FATAL", "57P01", "terminating connection"), "57P01"), (b"", "")],
    ids=["a last word", "a broken connection"],
)
def test_a_lost_connection_leaves_the_statement_in_doubt(fake_server: Make, answer: bytes, sqlstate: str) -> None:
    link = connect(started(fake_server(lambda _: answer)).conninfo, QUICK, 5)
    with pytest.raises(LinkError) as caught:
        link.ask(b"INSERT", [], 5)
    assert not isinstance(caught.value, QueryError | NotSentError)
    assert caught.value.sqlstate == sqlstate


def test_no_answer_is_bounded(fake_server: Make) -> None:
    release = threading.Event()

    def too_late(_: int) -> bytes:
        release.wait(5)
        return DONE

    link = connect(started(fake_server(too_late)).conninfo, QUICK, 5)
    begun = time.monotonic()
    with pytest.raises(LinkError, match="no answer in time"):
        link.ask(b"INSERT", [], 0.05)
    assert time.monotonic() - begun < 1
    release.set()


def test_a_port_that_refuses_fails_at_once_when_one_try_is_allowed(fake_server: Make) -> None:
    server = fake_server()  # bound, not listening
    tally = Tally()
    with pytest.raises(LinkError, match="refused"):
        connect(server.conninfo, Limits(1, 1, 1, 1, tries=1), 5, tally=tally)
    assert (tally.tries, tally.silent) == (1, 0)


def test_refused_connections_are_tried_again_until_the_server_is_there(fake_server: Make) -> None:
    server = fake_server()
    threading.Timer(0.1, lambda: started(server)).start()
    tally = Tally()
    connect(server.conninfo, QUICK, 5, tally=tally).close()
    assert tally.tries > 5


def test_connecting_to_silence_ends_soon_after_the_server_is_there(fake_server: Make) -> None:
    """A full accept queue drops every SYN, as an address does that nobody holds at the moment."""
    server = fake_server()
    server.listen(backlog=0)
    filler = socket.create_connection(("127.0.0.1", server.port))
    opened: list[float] = []

    def open_the_door() -> None:
        opened.append(time.monotonic())
        server.serve()

    threading.Timer(0.3, open_the_door).start()
    tally = Tally()
    connect(server.conninfo, QUICK, 5, tally=tally).close()
    late = time.monotonic() - opened[0]
    filler.close()
    assert tally.silent > 10
    assert late < 0.5  # the kernel's own repetition of the first SYN would come 0.7 s after the opening


def test_stop_ends_the_trying(fake_server: Make) -> None:
    begun = time.monotonic()
    with pytest.raises(LinkError):
        connect(fake_server().conninfo, QUICK, 60, stop=lambda: time.monotonic() > begun + 0.1)
    assert time.monotonic() - begun < 2
