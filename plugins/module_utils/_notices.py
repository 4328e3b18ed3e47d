# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent looks at besides its decisions, every ten seconds: for events and for metrics. It changes nothing."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import _spool
from ._agent_decision import OFF, Seen
from ._config import EVENTS_PATH_UNIT, STATE_DIRECTORY, TLS_DIRECTORY, NodeConfig
from ._errors import BackupHaError, problem_of
from ._events import emit, say
from ._file_state import read_state, written_at
from ._metrics import format_metrics
from ._notice_decision import Facts, Said, decide_notices
from ._operation import boot_id, is_left_over, read_operation, renew
from ._postgres import Connection, SessionError, rows
from ._system import run, write_durably

EVERY_S = 10.0
COPYING = ("assemble", "rejoin")
SAID_PATH = STATE_DIRECTORY / "notices.json"
METRICS_FILE = "backup-ha.prom"
CERTIFICATES = {"certificate": "node.crt", "authority": "ca.crt"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Of the other node's sender and its slot, on a primary; of this node's receiver, on a secondary.
_LOOK = """
SELECT s.state = 'streaming' OR r.status = 'streaming' AS streaming, s.sync_state,
       pg_wal_lsn_diff(p.lsn, coalesce(s.replay_lsn, p.replayed))::bigint AS lag_bytes,
       CASE WHEN s.pid IS NOT NULL THEN coalesce(extract(epoch FROM s.replay_lag), 0)
            WHEN p.lsn <= p.replayed THEN 0
            WHEN p.recovering THEN extract(epoch FROM now() - pg_last_xact_replay_timestamp())
       END::float AS lag_seconds,
       CASE WHEN p.recovering THEN NULL WHEN l.slot_name IS NULL THEN 'missing' ELSE l.wal_status END AS wal_status,
       pg_wal_lsn_diff(p.lsn, l.restart_lsn)::bigint AS wal_kept_bytes,
       CASE WHEN p.recovering THEN coalesce(r.received_tli, (pg_control_checkpoint()).timeline_id) END AS followed,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS cap_mb,
       EXISTS (SELECT FROM pg_stat_progress_basebackup) AS copied
  FROM (SELECT recovering,
               CASE WHEN recovering THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                    ELSE pg_current_wal_lsn() END AS lsn,
               CASE WHEN recovering THEN pg_last_wal_replay_lsn() END AS replayed
          FROM (SELECT pg_is_in_recovery() AS recovering) AS q) AS p
  LEFT JOIN pg_stat_replication AS s ON s.application_name = %s AND NOT p.recovering
  LEFT JOIN pg_stat_wal_receiver AS r ON p.recovering
  LEFT JOIN pg_replication_slots AS l ON l.slot_name = %s AND NOT p.recovering
 ORDER BY s.state = 'streaming' DESC NULLS LAST LIMIT 1"""


class Notices:
    """What was looked at last, and when to look again."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._said = read_said()
        self._started = self._last_pass = time.time()
        self._next = 0.0
        self._changed: dict[str, float] = {}
        self._expiries: dict[str, float] = {}
        self._files_changed: float | None = None
        self._drift: int | None = None
        self._problem = ""

    def after(self, seen: Seen, session: Connection | None) -> None:
        """After each pass of the agent that could look. Raises nothing that would end the agent's session."""
        self._last_pass = time.time()
        known = (self._said.role, self._said.timeline if seen.role == "primary" else None)
        exchanged = seen.role != "none" and known != (seen.role, seen.timeline)
        if not exchanged and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        try:
            self._look(seen, session)
            self._problem = ""
        except (BackupHaError, SessionError, OSError, ValueError) as error:
            problem = problem_of(error)
            if problem != self._problem:
                say(f"Events and metrics: {problem}")
            self._problem = problem

    def _look(self, seen: Seen, session: Connection | None) -> None:
        there = seen.role != "none" and session is not None
        found = rows(session, _LOOK, self._config.peer, self._config.peer_slot)[0] if there and session else {}
        self._read_expiries()
        if found.get("copied"):
            renew_what_copies()
        facts = Facts(
            time.time(),
            self._config.node,
            self._config.peer,
            seen.role,
            seen.timeline,
            bool(found.get("streaming")),
            found.get("wal_status"),
            found.get("wal_kept_bytes"),
            cap_in_bytes(found.get("cap_mb")),
            self._expiries,
            left_over(),
        )
        said, notices = decide_notices(self._said, facts)
        for notice in notices:
            emit(notice.kind, notice.message, self._config, **notice.details)
        if said != self._said:
            write_durably(SAID_PATH, json.dumps(asdict(said)) + "\n")
            self._said = said
        self._write_metrics(seen, facts, found)
        if waits_too_long():
            run(["systemctl", "start", "--no-block", EVENTS_PATH_UNIT], timeout=5)

    def _read_expiries(self) -> None:
        """A command each, when the file is another one than before."""
        for name, file in CERTIFICATES.items():
            path = TLS_DIRECTORY / file
            changed = path.stat().st_mtime if path.exists() else 0.0
            if changed and changed != self._changed.get(name):
                said = run(["openssl", "x509", "-noout", "-enddate", "-in", str(path)], timeout=5)
                self._expiries = {**self._expiries, name: parse_end_date(said)}
                self._changed[name] = changed

    def _count_drift(self) -> int | None:
        """As the last process for the files has left it; that may be much to read, and is seldom new."""
        changed = written_at()
        if changed != self._files_changed:
            self._files_changed, self._drift = changed, len(read_state().said) if changed else None
        return self._drift

    def _write_metrics(self, seen: Seen, facts: Facts, found: dict[str, Any]) -> None:
        directory = self._config.events.metrics_directory
        if not directory or not os.path.isdir(directory):
            return
        config, primary = self._config, seen.role == "primary"
        told = {
            **found,
            "cluster": config.cluster,
            "node": config.node,
            "peer": config.peer,
            "role": seen.role,
            "streaming": facts.streams if found else None,
            "timeline": seen.timeline or found.get("followed"),
            "last_role_change_timestamp_seconds": self._said.role_since,
            "protection_wanted": config.agent.synchronous != OFF,
            "protected": seen.declared if primary else None,
            "wal_kept_limit_bytes": facts.cap_bytes if primary else None,
            "expiries": self._expiries,
            "config_drift_files": self._count_drift(),
            "events_waiting": len(_spool.waiting()),
            "agent_start_timestamp_seconds": round(self._started, 3),
            "agent_last_pass_timestamp_seconds": round(self._last_pass, 3),
        }
        replace_file(Path(directory, METRICS_FILE), format_metrics(told))


def replace_file(path: Path, text: str) -> None:
    """At once, for whoever reads it meanwhile; not for ever: after a power cut the next one comes in ten seconds."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(0o644)
    os.replace(temporary, path)


def read_said(path: Path | None = None) -> Said:
    """As it was left; from the beginning when that can't be read."""
    try:
        found = json.loads((path or SAID_PATH).read_text(encoding="utf-8"))
        return Said(**{**found, "expiring": tuple(found["expiring"])})
    except (OSError, ValueError, TypeError, KeyError):
        return Said()


def cap_in_bytes(megabytes: int | None) -> int | None:
    """PostgreSQL's -1 is no bound."""
    return None if megabytes is None or megabytes < 0 else megabytes * 1024 * 1024


def renew_what_copies() -> None:
    """A copy of a large primary takes hours, in which the operation does nothing on this node but be copied."""
    record = read_operation()
    if record and record["kind"] in COPYING:
        renew()


def left_over() -> dict[str, Any] | None:
    """The record of an operation that was interrupted, if there is one."""
    record = read_operation()
    if not record or not record["id"]:
        return None
    return record if is_left_over(record, time.time(), boot_id(), []) else None


def waits_too_long() -> bool:
    """Whether an event has not been taken up although it should have been at once."""
    waiting = _spool.waiting()
    return bool(waiting) and time.time() - int(waiting[0].name.split("-")[0]) / 1_000_000 > EVERY_S


def parse_end_date(said: str) -> float:
    """Epoch seconds of openssl's words, whatever the locale.

    >>> parse_end_date("notAfter=Nov 20 07:00:00 2036 GMT")
    2110777200.0
    """
    month, day, clock, year, _zone = said.strip().partition("=")[2].split()
    hour, minute, second = map(int, clock.split(":"))
    return datetime(int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC).timestamp()
