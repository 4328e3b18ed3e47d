# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that speaks just enough of PostgreSQL's protocol to be connected to and written to."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

Answer = Callable[[int], bytes]


def message(kind: bytes, body: bytes) -> bytes:
    """One message of the protocol."""
    return kind + struct.pack("!i", len(body) + 4) + body


GOODBYE = b"X"
READY = message(b"Z", b"I")
WELCOME = message(b"R", struct.pack("!i", 0)) + READY
DONE = message(b"1", b"") + message(b"2", b"") + message(b"n", b"") + message(b"C", b"INSERT 0 1\0") + READY


def error(severity: str, sqlstate: str, text: str) -> bytes:
    """Build the error that a server sends; only the connection of a FATAL one ends."""
    fields = f"S{severity}\0V{severity}\0C{sqlstate}\0M{text}\0\0".encode()
    return message(b"E", fields) + (READY if severity == "ERROR" else b"")


class FakeServer:
    """Answers the n-th statement it receives with `answer(n)`; an empty answer closes the connection."""

    def __init__(self, answer: Answer, welcome: bytes = WELCOME) -> None:
        self._answer, self._welcome = answer, welcome
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.statements = 0
        self.port: int = self._socket.getsockname()[1]
        self.conninfo = f"host=127.0.0.1 port={self.port} user=u dbname=d sslmode=disable gssencmode=disable"

    def listen(self, backlog: int = 16) -> None:
        self._socket.listen(backlog)

    def serve(self) -> None:
        """Accept and answer in the background until closed."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(client,), daemon=True).start()

    def _converse(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # a client that has gone needs no answer
            if not client.recv(4096):
                return
            client.sendall(self._welcome)
            while self._welcome == WELCOME and client.recv(4096)[:1] not in (b"", GOODBYE):
                self.statements += 1
                answer = self._answer(self.statements)
                if not answer:
                    return
                client.sendall(answer)
