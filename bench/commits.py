"""What a commit costs a client, and how soon the other node has it."""

from __future__ import annotations

import statistics
import time
from contextlib import closing

from measure.access import Access
from measure.link import QUICK, Link, connect
from measure.servers import ServerError, Servers

COMMITS = 100  # of which the median is one value
LIMIT_S = 10.0
PROTECTED_S = 30.0

_INSERT = b"INSERT INTO duet_written (run, number) VALUES ($1, $2)"
_SEEN = b"SELECT FROM duet_written WHERE run = $1 AND number = $2"


def wait_until_protected(servers: Servers, primary: str) -> None:
    """Until commits wait for the secondary. ServerError if they never do."""
    deadline = time.monotonic() + PROTECTED_S
    query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync';"
    while servers.sql(primary, query) != "1":
        if time.monotonic() > deadline:
            raise ServerError(f"commits on {primary} do not wait for the secondary after {PROTECTED_S:.0f} s")
        time.sleep(0.2)


def lag_ms(access: Access, primary: str, secondary: str) -> float:
    """From a commit's acknowledgement until a query on the secondary finds it; median of `COMMITS`."""
    run = _run("lag")
    with closing(_open(access, primary)) as writer, closing(_open(access, secondary)) as reader:
        lags = []
        for number in range(COMMITS):
            row = [run, str(number).encode()]
            writer.ask(_INSERT, row, LIMIT_S)
            began = time.monotonic()
            # A row without columns is a row.
            while not reader.ask(_SEEN, row, LIMIT_S):
                if time.monotonic() - began > LIMIT_S:
                    raise ServerError(f"{secondary} lacks a commit of {primary} after {LIMIT_S:.0f} s")
            lags.append(time.monotonic() - began)
    return statistics.median(lags) * 1000


def sync_ratio(access: Access, endpoint: str) -> float:
    """How much longer a commit takes that waits for the secondary, than one that does not; both in turn."""
    run = _run("cost")
    seconds: dict[bytes, list[float]] = {b"on": [], b"local": []}
    with closing(_open(access, endpoint)) as client:
        for number in range(2 * COMMITS):
            mode = (b"on", b"local")[number % 2]
            client.ask(b"SELECT set_config('synchronous_commit', $1, false)", [mode], LIMIT_S)
            began = time.monotonic()
            client.ask(_INSERT, [run, str(number).encode()], LIMIT_S)
            seconds[mode].append(time.monotonic() - began)
    return statistics.median(seconds[b"on"]) / statistics.median(seconds[b"local"])


def _run(what: str) -> bytes:
    return f"{what}-{time.time_ns():x}".encode()


def _open(access: Access, address: str) -> Link:
    return connect(access.conninfo(address), QUICK, LIMIT_S)
