# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session whose other end says nothing is broken off on this side, with real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import psycopg
import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _bounded, _postgres
from ansible_collections.duet.backup_ha.plugins.module_utils._bounded import bounded


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A session's two ends; whoever reads the first one waits for ever."""
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(5)
        yield one, other


def test_who_waits_for_an_answer_that_never_comes_is_woken(ends: tuple[socket.socket, socket.socket]) -> None:
    began = time.monotonic()
    with bounded(ends[0], 0.2):
        assert ends[0].recv(1) == b""
    assert 0.1 <= time.monotonic() - began < 3


def test_an_answer_in_time_breaks_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    for _question in range(3):
        with bounded(ends[0], 0.2):
            pass
    time.sleep(0.2 + 2 * _bounded.LOOK_S)
    ends[1].send(b"x")
    assert ends[0].recv(1) == b"x"
    assert not _bounded._watch().blocks


def test_a_machine_that_stood_still_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, ends: tuple[socket.socket, socket.socket]
) -> None:
    with bounded(ends[0], 60):
        monkeypatch.setattr(_bounded, "time", SimpleNamespace(sleep=time.sleep, monotonic=lambda: 1e9))
        time.sleep(3 * _bounded.LOOK_S)
        ends[1].send(b"x")
        assert ends[0].recv(1) == b"x"


def test_the_shorter_bound_counts(ends: tuple[socket.socket, socket.socket]) -> None:
    with bounded(ends[0], 60), bounded(ends[0], 0.1):
        assert ends[0].recv(1) == b""


def test_a_session_that_was_closed_meanwhile_keeps_nobody_else_waiting(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    closed, other = socket.socketpair()
    closed.close()
    other.close()
    with bounded(closed, 0), bounded(ends[0], 0.1):
        assert ends[0].recv(1) == b""


class FrozenServer:
    """It lets a session in, and then stands still: the kernel confirms all that is sent."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A session that a server has let in: it says what the protocol asks for, and nothing more."""

        def let_in() -> None:
            self.end, _address = self.listener.accept()
            self.end.recv(4096)
            self.end.sendall(b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I")

        threading.Thread(target=let_in, daemon=True).start()
        where = f"host=127.0.0.1 port={self.port} user=x dbname=x sslmode=disable gssencmode=disable"
        return psycopg.connect(where, autocommit=True)


@pytest.mark.parametrize("ask", [_postgres.one, _postgres.rows])
def test_every_question_to_a_frozen_server_ends(monkeypatch: pytest.MonkeyPatch, ask: object) -> None:
    monkeypatch.setattr(_postgres, "ANSWER_S", 0.3)
    connection = FrozenServer().connect()
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError):
        ask(connection, "SELECT 1")  # type: ignore[operator]
    assert time.monotonic() - began < 3
    assert connection.closed
