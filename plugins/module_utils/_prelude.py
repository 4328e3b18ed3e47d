# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a handover does before the stop of the primary, and how it is taken back: nothing here touches the role.

The caller's deadline is for everything. A step is only given the time that the stop and what follows it will not need,
so that what takes too long is abandoned while the primary still serves.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field

from ._config import PRIMARY_TARGET, REPLICATION_ROLE, NodeConfig
from ._errors import BackupHaError, DeadlineError, RefusedError
from ._forecast import (
    PROMOTION_S,
    STOP_S,
    Forecast,
    archive_forecast,
    forecast_refusals,
    replay_forecast,
    say_s,
)
from ._observe import observe_waits
from ._postgres import Connection, connect_local, rows
from ._stop_measure import archive_file_s, checkpoint
from ._system import systemctl, unit_states

CHECKPOINTS = 2
# How long sessions that are told to end may take.
END_STREAM_S = 5.0
_END_STREAMS = """
SELECT coalesce(nullif(application_name, ''), usename) AS name, pg_terminate_backend(pid)
  FROM pg_stat_activity WHERE backend_type = 'walsender' AND usename <> %s"""


@dataclass(frozen=True)
class Terms:
    """What the caller allows: seconds without a writer, seconds for everything, and to end others' streams; and what
    the caller knows of the time that archiving one WAL file takes, because checkpoints remove what tells it."""

    timeout: float = 30.0
    deadline: float = 300.0
    end_streams: bool = False
    archive_file_s: float | None = None


@dataclass
class Budget:
    """The time for everything, and who has spent how much of it."""

    terms: Terms
    began: float = field(default_factory=time.monotonic)
    reserve: float = STOP_S + PROMOTION_S
    spent: list[tuple[str, float]] = field(default_factory=list)

    @property
    def left(self) -> float:
        return self.terms.deadline - (time.monotonic() - self.began)

    @property
    def allowed(self) -> float:
        """What a step before the stop may take."""
        return self.left - self.reserve

    def spend(self, what: str, began: float) -> None:
        self.spent.append((what, time.monotonic() - began))

    def abandon(self, what: str, advice: str = "Switch over when less is written") -> DeadlineError:
        """Why the switchover ends here, with what took how long."""
        took = [f"{name} took {say_s(seconds)}" for name, seconds in self.spent]
        history = f" Before, {', '.join(took)}." if took else ""
        return DeadlineError(
            f"{what}. {say_s(self.terms.deadline)} were left for everything (backup_ha_switchover_deadline), of which "
            f"the stop and the promotion need {say_s(self.reserve)}.{history} {advice}, or allow more time."
        )


def flush(config: NodeConfig, budget: Budget) -> Forecast:
    """Write dirty pages while clients still work. The second checkpoint writes what came in during the first one, so
    that little is left for the one inside the stop: as much as it took itself.

    Raises RefusedError when the stop would leave the cluster without a writer for too long.
    """
    here, before = archive_file_s(config.postgresql.data_directory), budget.terms.archive_file_s
    file_s = max((seconds for seconds in (here, before) if seconds is not None), default=None)
    took = 0.0
    with closing(connect_local(config.postgresql)) as connection:
        for number in range(1, CHECKPOINTS + 1):
            began = time.monotonic()
            try:
                took = checkpoint(connection, budget.allowed)
            except DeadlineError as error:
                raise budget.abandon(
                    f"The checkpoint {number} of {CHECKPOINTS} before the stop of {config.node} did not end in the "
                    f"{say_s(max(0.0, time.monotonic() - began))} that were left for it"
                ) from error
            budget.spend(f"checkpoint {number}", began)
        forecast = _forecast(config, connection, took, file_s)
    refusals = forecast_refusals(forecast, budget.terms.timeout, budget.left)
    if refusals:
        raise RefusedError("Nothing was changed.", refusals, forecast=forecast.as_dict())
    budget.reserve = forecast.without_writer_s
    return forecast


def _forecast(config: NodeConfig, connection: Connection, took: float, file_s: float | None) -> Forecast:
    archive, senders = observe_waits(connection)
    files, seconds = archive_forecast(archive, file_s)
    return Forecast(config.node, round(took, 3), files, seconds, replay_forecast(senders, REPLICATION_ROLE))


def stop_workload(config: NodeConfig, budget: Budget) -> None:
    """Stop the backup server, for as long as there is time."""
    began, allowed = time.monotonic(), budget.allowed
    try:
        if allowed <= 0:
            raise DeadlineError("No time was left.")
        systemctl("stop", *config.workload.units, timeout=allowed)
    except DeadlineError as error:
        raise budget.abandon(
            f"The workload on {config.node} ({', '.join(config.workload.units)}) did not stop in the "
            f"{say_s(max(0.0, allowed))} that were left for it",
            "Find out why it does not stop",
        ) from error
    budget.spend("the workload's stop", began)


def end_streams(config: NodeConfig) -> list[str]:
    """End what streams WAL to others, which the stop would wait for. Returns their names.

    Just before the stop, because they come back. A session whose client takes nothing any more hangs while it says
    goodbye, and ends only when it is told again. One that does not end at all would hold the stop up: then it fails.
    """
    names: set[str] = set()
    deadline = time.monotonic() + END_STREAM_S
    with closing(connect_local(config.postgresql)) as connection:
        while found := rows(connection, _END_STREAMS, REPLICATION_ROLE):
            names |= {stream["name"] for stream in found}
            if time.monotonic() > deadline:
                raise BackupHaError(
                    f"A session that streams WAL from {config.node} to others does not end "
                    f"({', '.join(sorted(names))}), and the stop would wait for it."
                )
            time.sleep(0.02)
    return sorted(names)


def serve_on(config: NodeConfig) -> None:
    """The server has not been touched: start the workload again. What still stops is ended, it could take for ever."""
    states = unit_states(list(config.workload.units))
    stopping = [unit for unit, state in states.items() if state["active"] == "deactivating"]
    if stopping:
        systemctl("kill", "--signal=KILL", *stopping)
    systemctl("start", PRIMARY_TARGET, *config.workload.units)
