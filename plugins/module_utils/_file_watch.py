# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's part in the replication of files: it notices that there is something to do, and starts who does it.

What it looks at each second is what stat says of the listed paths, and one row of the cluster's database. A process of
its own then reads and writes, so that nothing of that can delay the agent or make it grow.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, replace

from ._config import NodeConfig
from ._file_guard import may_apply
from ._file_tree import fingerprint
from ._postgres import Connection, SessionError, rows

COMMAND = ("/usr/bin/backup-ha", "sync-files")
SETTLED, FAILED, SOON = 0, 1, 4  # what the process says with its exit code
AGAIN_S = {SETTLED: 3600.0, FAILED: 30.0, SOON: 1.0}
FIRST_PAUSE_S = 2.0
PROCESS_S = 120.0  # longer than it takes to write all that fits
# A look at many files comes less often, so that it takes no more than this part of a core.
SHARE = 0.01

State = tuple[str, str, int, int]


@dataclass(frozen=True)
class Noticed:
    """What was there when the last process began, and when one is due whatever is there (monotonic clock).

    Some things no signature shows: a user that exists now, an old version to be deleted.
    """

    state: State | None = None
    again_at: float = 0.0
    failures: int = 0


def is_due(noticed: Noticed, state: State, now: float) -> bool:
    """Whether a process has something to do. Pure."""
    return state != noticed.state or now >= noticed.again_at


def ended(noticed: Noticed, code: int, now: float) -> Noticed:
    """What to remember of a process that has ended. Pure.

    What fails once, a query that replay was in the way of, may be done a moment later.
    """
    if code in (SETTLED, SOON):
        return replace(noticed, again_at=now + AGAIN_S[code], failures=0)
    pause = min(AGAIN_S[FAILED], FIRST_PAUSE_S * 2**noticed.failures)
    return replace(noticed, again_at=now + pause, failures=noticed.failures + 1)


class FileWatch:
    """One look after the other; at most one process at a time."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._noticed = Noticed()
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._next_look = self._cost_s = 0.0

    def look(self, session: Connection | None, role: str) -> None:
        """Called once a second; ``role`` is what the local server was found to be."""
        now = time.monotonic()
        if not self._config.workload.files or self._is_busy(now) or now < self._next_look:
            return
        if session is None or role not in ("primary", "secondary") or (role == "secondary" and not may_apply()):
            return
        state = self._state(session, role)
        if state is None:
            self._next_look = now + AGAIN_S[FAILED]
        elif is_due(self._noticed, state, now):
            self._noticed = replace(self._noticed, state=state, again_at=now + PROCESS_S)
            self._process, self._began = subprocess.Popen(COMMAND, stdin=subprocess.DEVNULL), now

    def _is_busy(self, now: float) -> bool:
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            if now - self._began > PROCESS_S:
                self._process.kill()
            return True
        self._process = None
        self._noticed = ended(self._noticed, code, now)
        return False

    def _state(self, session: Connection, role: str) -> State | None:
        """None while the cluster's database has no tables for it: they come with the next assembly."""
        try:
            found = rows(session, "SELECT node, revision FROM backup_ha.file_source")
        except SessionError as error:
            if getattr(error, "sqlstate", None) == "42P01":
                return None
            raise
        source, revision = (found[0]["node"], found[0]["revision"]) if found else ("", 0)
        # What this node captures itself is no news to it.
        began = time.process_time()
        number = fingerprint(self._config.workload)
        # On a machine whose processor is taken away, one look may seem to cost a hundred times as much as the next.
        before, self._cost_s = self._cost_s, time.process_time() - began
        self._next_look = time.monotonic() + min(before, self._cost_s) / SHARE
        return role, source, 0 if role == "primary" else revision, number
