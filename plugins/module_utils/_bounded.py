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


_lock = threading.Lock()
_deadlines: dict[object, tuple[float, _Session]] = {}


@contextmanager
def bounded(session: _Session, seconds: float) -> Iterator[None]:
    """Break the session off when this block takes longer; whoever waits for its answer gets the driver's error."""
    _watch()
    block = object()
    with _lock:
        _deadlines[block] = (time.monotonic() + seconds, session)
    try:
        yield
    finally:
        with _lock:
            del _deadlines[block]


@cache
def _watch() -> None:
    """One thread for all: a critical section asks every two milliseconds, and starting a thread takes its time."""
    threading.Thread(target=_break_off_for_ever, daemon=True).start()


def _break_off_for_ever() -> None:
    while True:
        time.sleep(LOOK_S)
        # Under the lock, so that no block ends, and its descriptor becomes another one's, in between.
        with _lock:
            for deadline, session in _deadlines.values():
                if time.monotonic() > deadline:
                    _break_off(session)


def _break_off(session: _Session) -> None:
    with suppress(Exception), socket.socket(fileno=os.dup(session.fileno())) as end:  # it may be closed already
        end.shutdown(socket.SHUT_RDWR)
