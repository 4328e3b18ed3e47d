# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bound for a session's answer on this side.

A server whose processes stand still says nothing, while its kernel confirms that the connection lives: no time-out of
the server, of libpq or of TCP ends that wait.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Protocol

LOOK_S = 0.1


class _Session(Protocol):
    def fileno(self) -> int: ...


class _Watch(threading.Thread):
    """One for all sessions: a critical section asks every two milliseconds, and starting a thread takes its time.

    It counts its own looks: when this machine stood still, the answers were not late.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.now = 0.0
        self.lock = threading.Condition()
        self.blocks: dict[object, tuple[float, _Session]] = {}

    def run(self) -> None:
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self.blocks)
            time.sleep(LOOK_S)
            # Under the lock, so that no block ends, and its descriptor becomes another one's, in between.
            with self.lock:
                self.now += LOOK_S
                for until, session in self.blocks.values():
                    if self.now > until:
                        _break_off(session)


@cache
def _watch() -> _Watch:
    watch = _Watch()
    watch.start()
    return watch


@contextmanager
def bounded(session: _Session, seconds: float) -> Iterator[None]:
    """Break the session off when this block takes longer; whoever waits for its answer gets the driver's error."""
    watch, block = _watch(), object()
    with watch.lock:
        watch.blocks[block] = (watch.now + seconds, session)
        watch.lock.notify()
    try:
        yield
    finally:
        with watch.lock:
            del watch.blocks[block]


def _break_off(session: _Session) -> None:
    with suppress(Exception), socket.socket(fileno=os.dup(session.fileno())) as end:  # it may be closed already
        end.shutdown(socket.SHUT_RDWR)
