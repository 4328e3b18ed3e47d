# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The critical section of a switchover: one call on each node, no round trip to the control node inside.

The giving node's half; the other one is in _take.py.

The giving node holds a session to the other one, opened before anything stops. It stops its server, proves from the
control file that the stop was clean, waits until the other node has replayed the last record, and promotes it through
that session. The receiving node waits for its own promotion and takes the endpoint the moment it is the writer.

Safety: only the giving node requests the promotion, after its own server has ended. Until that request, every failure
starts the giving node again, which resumes by the grant it holds; after it, the giving node never serves again.
The old primary keeps the address while nobody serves: clients are refused at once instead of waiting for an answer.
"""

from __future__ import annotations

import time
from contextlib import suppress

from . import _endpoint
from ._config import NodeConfig
from ._control import ControlData
from ._errors import (
    BackupHaError,
    DeadlineError,
    InDoubtError,
    RefusedError,
    RolledBackError,
    UnreachableError,
    first_line,
    problem_of,
)
from ._grant import ARMED, GRANT, TAKEN, locks_held, try_lock
from ._handover_plan import plan_give
from ._postgres import (
    Connection,
    SessionError,
    connect_local,
    connect_peer,
    control_data,
    drop_slot,
    in_recovery,
    postmaster_pid,
    stop_at_once,
    stop_fast,
    wait_for_session,
    write_standby_signal,
)
from ._postgres import start as start_server
from ._prelude import Budget, Terms, end_streams, flush, serve_on, stop_workload
from ._primary_memory import forget_having_been_primary, remember_being_primary
from ._progress import Progress
from ._promotion import await_replay, request_promotion, wait_until_writer
from ._resume import resume

ARM_TIMEOUT_S = 15.0


def give(config: NodeConfig, terms: Terms) -> Progress:
    """Hand the primary role to the other node.

    Raises RefusedError (nothing changed), RolledBackError (the old primary serves again) or InDoubtError (promotion
    requested, outcome unknown: this node stays a standby).
    """
    progress, budget = Progress(), Budget(terms)
    server = config.postgresql
    with connect_peer(config) as peer:
        role = local_role(config)
        steps = plan_give(role, control_data(server).state, in_recovery(peer))
        if "promote_secondary" in steps:
            _await_armed(config, peer)
            _surrender(config, peer, steps, budget, progress)
        try:
            _finish(config, peer, steps, progress)
        except (BackupHaError, SessionError) as error:
            raise InDoubtError(
                f"{config.peer} is the primary, but {config.node} does not follow it yet: {problem_of(error)}"
            ) from error
    return progress


def local_role(config: NodeConfig) -> str:
    if postmaster_pid(config.postgresql) is None:
        return "stopped"
    with connect_local(config.postgresql) as connection:
        return "secondary" if in_recovery(connection) else "primary"


def _await_armed(config: NodeConfig, peer: Connection) -> None:
    deadline = time.monotonic() + ARM_TIMEOUT_S
    while ARMED not in locks_held(peer):
        if time.monotonic() > deadline:
            raise RefusedError("Nothing was changed.", [f"{config.peer} did not get ready for its promotion in time."])
        time.sleep(0.02)
    if not try_lock(peer, GRANT):
        raise RefusedError(
            "Nothing was changed.", [f"Another promotion is under way: its lock is held on {config.peer}."]
        )


def _surrender(config: NodeConfig, peer: Connection, steps: list[str], budget: Budget, progress: Progress) -> None:
    """From the checkpoint to the promotion of the other node. Whatever fails before the request is taken back."""
    try:
        if "checkpoint" in steps:
            _prepare(config, peer, budget, progress)
        began = time.monotonic()
        control, deadline = _let_go(config, peer, steps, budget, progress)
        progress.begin("promote_secondary")
        forget_having_been_primary()
        _require_stopped(config, control, deadline)
        asked = _ask_for_promotion(config, peer)
    except RefusedError:
        raise  # nothing has been stopped
    except Exception as error:
        _take_back(config, peer, error, progress)
        raise RolledBackError(
            f"{problem_of(error)} {config.peer} was not promoted; {config.node} serves.",
            forecast=progress.forecast,
            took=progress.took,
        ) from error
    _await_promotion_of(config, peer if asked else None)
    progress.measure("without_writer_s", began)
    progress.done("promote_secondary")


def _prepare(config: NodeConfig, peer: Connection, budget: Budget, progress: Progress) -> None:
    """All that comes before the stop."""
    began = time.monotonic()
    progress.begin("checkpoint")
    progress.forecast = flush(config, budget).as_dict()
    _require_armed(config, peer)
    progress.measure("checkpoints_s", began)
    progress.done("checkpoint")
    if config.workload.units:
        began = time.monotonic()
        progress.begin("stop_workload")
        stop_workload(config, budget)
        _require_armed(config, peer)
        progress.measure("workload_s", began)
        progress.done("stop_workload")
    if budget.allowed <= 0:
        raise budget.abandon(f"No time is left for the stop of {config.node}")


def _let_go(
    config: NodeConfig, peer: Connection, steps: list[str], budget: Budget, progress: Progress
) -> tuple[ControlData, float]:
    """Stop serving, and prove that the other node has everything. Returns the end, and until when it counts."""
    timeout = min(budget.terms.timeout, max(0.1, budget.left))
    deadline = time.monotonic() + timeout
    if "stop_primary" in steps:
        progress.begin("stop_primary")
        if budget.terms.end_streams:
            progress.ended = end_streams(config)
        began, progress.stopping = time.monotonic(), True
        if not stop_fast(config.postgresql, timeout):
            raise DeadlineError(f"PostgreSQL did not stop within {timeout:.0f} s.")
        progress.measure("stop_s", began)
        progress.stopping = False
        progress.done("stop_primary")
    control = control_data(config.postgresql)
    if not control.stopped_cleanly_as_writer:
        raise BackupHaError(f"PostgreSQL's control file says '{control.state}' instead of 'shut down'.")
    await_replay(peer, control, max(0.1, deadline - time.monotonic()))
    progress.done("await_replay")
    return control, deadline


def _require_stopped(config: NodeConfig, control: ControlData, deadline: float) -> None:
    """This process may have stood still meanwhile, and somebody have told this node to go on alone."""
    if time.monotonic() > deadline:
        raise DeadlineError(f"The time without a writer was over before {config.peer} could be promoted.")
    if postmaster_pid(config.postgresql) is not None or control_data(config.postgresql) != control:
        raise BackupHaError(f"PostgreSQL on {config.node} has been started meanwhile.")


def _require_armed(config: NodeConfig, peer: Connection) -> None:
    """What came before may have taken long, and nobody would take the endpoint."""
    if ARMED not in locks_held(peer):
        raise BackupHaError(f"{config.peer} does not wait for its promotion any more.")


def _take_back(config: NodeConfig, peer: Connection, error: Exception, progress: Progress) -> None:
    """Nobody was promoted: this node serves again."""
    progress.begin("take_back", regardless=True)
    with suppress(OSError):
        remember_being_primary(config)
    if progress.stopping or postmaster_pid(config.postgresql) is None:
        # What the checkpoints before the stop have left is quickly replayed.
        stop_at_once(config.postgresql, timeout=60)
        start_server(config.postgresql)
    try:
        peer.close()  # resume() asks for the grant itself, and a broken session would hold it for nobody
        if not progress.stopping and _accepts_writes(config):
            serve_on(config)
            progress.done("taken_back")
            return
        outcome = resume(config, patience=10, alone=True)
    except (BackupHaError, SessionError) as failure:
        said = f"{problem_of(error)} Taking the role back failed as well: {problem_of(failure)}"
        raise InDoubtError(said) from error
    progress.done("taken_back")
    if outcome != "promoted":
        raise InDoubtError(f"{problem_of(error)} This node did not become primary again: {outcome}.") from error


def _accepts_writes(config: NodeConfig) -> bool:
    """Nothing but this handover should have touched the server; but somebody may have restarted it meanwhile."""
    try:
        return local_role(config) == "primary"
    except (BackupHaError, SessionError):
        return False


def _ask_for_promotion(config: NodeConfig, peer: Connection) -> bool:
    """The point of no return. False when the session broke, so that nobody knows whether the request arrived.

    Raises BackupHaError when the other node refused it, which is a clear answer: nothing happened.
    """
    try:
        request_promotion(peer)
        return True
    except SessionError as error:
        state = getattr(error, "sqlstate", None)
        # Class 57 is the server's own end (admin_shutdown, crash_shutdown, query_canceled).
        if state and not state.startswith("57") and not peer.closed:
            raise BackupHaError(f"{config.peer} refused its promotion: {first_line(error)}") from error
        return False


def _await_promotion_of(config: NodeConfig, peer: Connection | None) -> None:
    """Wait until the other node accepts writes. After a broken session it is asked anew; only a clear answer counts."""
    try:
        if peer:
            wait_until_writer(peer)
            return
    except SessionError:
        pass
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with connect_peer(config) as again:
                if not in_recovery(again):
                    return
        except (UnreachableError, SessionError):
            pass
        time.sleep(0.2)
    write_standby_signal(config.postgresql)
    start_server(config.postgresql)
    raise InDoubtError(
        f"{config.peer} was told to become primary and could not be asked afterwards whether it did. "
        "This node stays read-only. Look at the cluster with duet.backup_ha.status."
    )


def _finish(config: NodeConfig, peer: Connection, steps: list[str], progress: Progress) -> None:
    """The other node is primary: give up the address and follow it."""
    if "release_endpoint" in steps:
        _await_taken(peer)
        _endpoint.delete(config.endpoint)
        progress.done("release_endpoint")
    if "start_standby" in steps:
        progress.begin("start_standby", regardless=True)
        forget_having_been_primary()
        write_standby_signal(config.postgresql)
        start_server(config.postgresql)
        with wait_for_session(config.postgresql, timeout=30) as connection:
            drop_slot(connection, config.peer_slot)
        progress.done("start_standby")


def _await_taken(peer: Connection, limit: float = 1.0) -> None:
    deadline = time.monotonic() + limit
    while not peer.closed and TAKEN not in locks_held(peer) and time.monotonic() < deadline:
        time.sleep(0.002)
