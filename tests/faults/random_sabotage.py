"""What the judge of a random run has to notice: faults that no product makes good."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.scenarios.support import DATA, PEER, UNIT, Lab

PROMOTE = f"cd /; runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -D {DATA} promote"


def two_writers(lab: Lab, primary: str, _run: str) -> str:
    said = lab.sh(PEER[primary], f"{PROMOTE} 2>&1 | tail -n 1")
    time.sleep(2)  # both are seen to write
    return f"{PEER[primary]} promoted by hand: {said}"


def lost_row(lab: Lab, primary: str, run: str) -> str:
    statement = f"DELETE FROM duet_written WHERE run = '{run}' AND number = 100 RETURNING number"
    return f"row {lab.sql(primary, statement, 'duet_measure')} deleted on {primary}"


def different_rows(lab: Lab, primary: str, _run: str) -> str:
    """The copy stands still: it streams, and what it receives is not replayed."""
    lab.sql(PEER[primary], "SELECT pg_wal_replay_pause()")
    return f"the replay paused on {PEER[primary]}"


def out_of_order(lab: Lab, primary: str, _run: str) -> str:
    lab.sh(PEER[primary], f"systemctl stop {UNIT}")
    return f"PostgreSQL stopped on {PEER[primary]}"


SABOTAGES: dict[str, Callable[[Lab, str, str], str]] = {
    "two_writers": two_writers,
    "lost_row": lost_row,
    "different_rows": different_rows,
    "out_of_order": out_of_order,
}
