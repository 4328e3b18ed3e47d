# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While no PostgreSQL runs on this node, its agent says so to the other one, by a lock that it holds there.

A port that refuses connections says nothing of that kind: a firewall does the same. Only this node's certificate makes
a session of the replication role, so the lock can't be anybody else's. It may be late by a look or two when the server
starts again; but every start is a standby's, and who promotes the other node holds the lock that it would need.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ._config import NodeConfig, Postgresql
from ._errors import BackupHaError
from ._grant import DOWN, try_lock
from ._postgres import Connection, SessionError, connect_peer, one

CONNECT_S = 0.5


def server_lives(server: Postgresql) -> bool:
    """Whether any process works in the data directory: one may outlive the postmaster, and still commit."""
    wanted = os.path.realpath(server.data_directory)
    for process in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if os.readlink(f"/proc/{process}/cwd") == wanted:
                return True
    return False


class DownWord:
    """The session that holds the lock."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._session: Connection | None = None

    def give(self) -> None:
        """The server could not be asked: say so if that is because there is none. Tried anew at every look."""
        if server_lives(self._config.postgresql):
            self.take_back()
            return
        try:
            if self._session is None or self._session.closed:
                self._session = connect_peer(self._config, timeout=CONNECT_S)
                try_lock(self._session, DOWN)
            one(self._session, "SELECT 1")
        except (BackupHaError, SessionError):
            self.take_back()

    def take_back(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
