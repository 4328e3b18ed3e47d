# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`backup-ha sync-files`: what the agent starts when the workload's files may have changed."""

from __future__ import annotations

from . import _file_store as store
from ._config import NodeConfig
from ._errors import BackupHaError, problem_of
from ._events import emit, say
from ._file_guard import may_apply
from ._file_state import State, read_state, write_state
from ._file_sync import Done, files_locked, follow, lead
from ._file_watch import FAILED, SETTLED, SOON
from ._grant import GRANT, locks_held
from ._postgres import Connection, SessionError, connect_cluster_database, in_recovery


def synchronize(config: NodeConfig) -> int:
    """One look and what follows from it; the exit code tells the agent when the next one is due."""
    state = read_state()
    try:
        with files_locked(), connect_cluster_database(config.postgresql) as connection:
            done = _look(config, connection, state)
    except (BackupHaError, SessionError, OSError) as error:
        now = f"The configuration files are not replicated now. {problem_of(error)}"
        _say_new(config, state, {**state.said, "": now})
        write_state(state)
        return FAILED
    if done is None:
        return SOON
    _tell(config, done)
    _say_new(config, state, {**done.problems, **done.failed})
    write_state(State(done.known, done.failed, state.said, done.unlike))
    if done.settled:
        return SETTLED
    return FAILED if done.failed else SOON


def _look(config: NodeConfig, connection: Connection, state: State) -> Done | None:
    """None: not now."""
    if not store.is_ready(connection):
        return None
    if not in_recovery(connection):
        return lead(config, connection, state.known)
    if not may_apply() or GRANT in locks_held(connection):
        return None
    return follow(config, connection, state.known, state.unlike, may_write=may_apply)


def _tell(config: NodeConfig, done: Done) -> None:
    """What somebody has changed here and who will look for it."""
    for path in done.edited:
        message = f"{path} was changed on {config.node} alone. What was there is kept in {done.aside}."
        emit("file_edited", message, config, path=path, kept=str(done.aside))
    if done.written or done.removed:
        say(f"Configuration files replicated: {', '.join([*done.written, *done.removed])}.")


def _say_new(config: NodeConfig, state: State, problems: dict[str, str]) -> None:
    """Each problem once, as long as it lasts; what concerns no file is over soon, and no event."""
    for path, problem in problems.items():
        if state.said.get(path) != problem:
            if path:
                emit("file_not_replicated", problem, config, path=path)
            else:
                say(problem)
    state.said = problems
