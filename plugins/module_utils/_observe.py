# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true on this node now, as plain data. Reads only."""

from __future__ import annotations

import shutil
import socket
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import _endpoint
from ._auto_rejoin_record import observe_attempts
from ._config import AGENT_UNIT, ENDPOINT_UNIT, PRIMARY_TARGET, REJOIN_UNIT, NodeConfig, Postgresql
from ._control import ControlData
from ._errors import BackupHaError, first_line
from ._event_list import read_events
from ._file_drift import observe_files
from ._lsn import format_lsn, lsn_distance, parse_lsn
from ._operation import read_operation
from ._parameters import STANDBY_MINIMUMS
from ._past import find_outvoter, read_past
from ._postgres import (
    SUPERUSER,
    Connection,
    SessionError,
    connect_local,
    control_data,
    in_recovery,
    is_starting,
    postmaster_pid,
    rows,
)
from ._protection import observe_protection
from ._system import run, unit_states
from ._unusable import is_unusable

# A primary writes its new timeline to the control file only with the first checkpoint after its promotion.
_TIMELINE_OF_PRIMARY = "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
# Until then, after a crash, only the end of recovery that the promotion wrote to the control file tells of it.
_TIMELINE_OF_STANDBY = (
    "(SELECT greatest(c.timeline_id, r.min_recovery_end_timeline)"
    " FROM pg_control_checkpoint() AS c, pg_control_recovery() AS r)"
)

_SENDERS = """
SELECT pid, usename AS "user", application_name, host(client_addr) AS client_address, state, sync_state,
       sent_lsn::text, write_lsn::text, flush_lsn::text, replay_lsn::text,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS lag_bytes,
       coalesce(extract(epoch FROM replay_lag), 0)::float AS lag_s
  FROM pg_stat_replication ORDER BY pid"""
_RECEIVER = """
SELECT status, sender_host, slot_name AS slot, received_tli AS timeline, flushed_lsn::text, latest_end_lsn::text,
       extract(epoch FROM now() - last_msg_receipt_time)::float AS silent_s,
       extract(epoch FROM last_msg_receipt_time - last_msg_send_time)::float AS clock_s
  FROM pg_stat_wal_receiver"""
_SLOTS = """
SELECT slot_name AS name, slot_type AS type, active, restart_lsn::text, wal_status,
       CASE WHEN restart_lsn IS NULL THEN NULL
            ELSE pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                      ELSE pg_current_wal_lsn() END, restart_lsn)::bigint END AS kept_bytes
  FROM pg_replication_slots ORDER BY slot_name"""
_ARCHIVE = """
SELECT current_setting('archive_mode') AS mode, failed_count, last_failed_wal,
       coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing,
       (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') AS waiting
  FROM pg_stat_archiver"""


# While a former primary asks whether it may go on: why it may not yet.
WAITING_PATH = Path("/run/backup-ha/waiting")


def read_waiting() -> str | None:
    try:
        return WAITING_PATH.read_text(encoding="utf-8") or None
    except FileNotFoundError:
        return None


def observe_node(
    config: NodeConfig | None, postgresql: Postgresql | None = None, ask_jobs: bool = False, recent: int = 0
) -> dict[str, Any]:
    """Everything `status` and the guards need to know about one node.

    Keys: node, assembled, cluster, time (epoch seconds), role, postgresql, services, endpoint, operation, versions,
    agent (its unit's state), protection (see observe_protection(); None where commits are not meant to wait),
    files (where the replicated files differ here from the stream, see _file_drift; None where that can't be told),
    rejoin (by itself: wanted, works, attempts), waits (why a former primary stays read-only), unusable (a rewind was
    interrupted), jobs (of the workload here; None when nobody asked or it does not say), jobs_unknown (it does not),
    events (the ``recent`` last ones).
    ``role`` is ``primary`` (accepts writes), ``secondary`` (in recovery), ``stopped`` or ``none`` (no PostgreSQL).
    """
    server = config.postgresql if config else postgresql
    database = observe_postgresql(server) if server else {"running": False}
    observed: dict[str, Any] = {
        "node": config.node if config else socket.gethostname(),
        "assembled": config is not None,
        "cluster": config.cluster if config else None,
        "time": time.time(),
        "role": role_of(database) if server else "none",
        "postgresql": database,
        "services": {},
        "endpoint": None,
        "jobs": None,
        "jobs_unknown": False,
        **dict.fromkeys(("agent", "protection", "files")),
        "events": [],
        "waits": read_waiting(),
        "unusable": is_unusable(),
        "operation": read_operation(),
        "versions": {"workload": None, "postgresql": database.get("version")},
    }
    if config and server:
        observed.update(_observe_units(config), **_observe_records(config, recent, bool(database.get("accepting"))))
        observed["endpoint"] = {"address": config.endpoint.address, "held": _endpoint.holds(config.endpoint)}
        observed["versions"]["workload"] = _say(config.workload.version_command)
        if ask_jobs and any(observed["services"][unit]["active"] == "active" for unit in config.workload.units):
            observed.update(_count_jobs(config))
    return observed


def _observe_records(config: NodeConfig, recent: int, accepting: bool) -> dict[str, Any]:
    """What the cluster's own database says."""
    return {
        "protection": observe_protection(config) if config.agent.synchronous != "off" else None,
        "events": read_events(config, recent) if recent else [],
        "files": observe_files(config) if accepting else None,
    }


def _count_jobs(config: NodeConfig) -> dict[str, Any]:
    """How many jobs a workload that runs has; one that can't tell, because it has no command for it, has none."""
    said = _say(config.workload.jobs_command)
    known = said is not None and said.isdigit()
    return {"jobs": int(said or 0) if known else None, "jobs_unknown": bool(config.workload.jobs_command) and not known}


def _observe_units(config: NodeConfig) -> dict[str, Any]:
    ours = [PRIMARY_TARGET, ENDPOINT_UNIT, config.postgresql.unit, *config.workload.units]
    states = unit_states([*ours, AGENT_UNIT, REJOIN_UNIT])
    works = states.pop(REJOIN_UNIT)["active"] in ("activating", "active", "deactivating")
    rejoin = {"wanted": config.agent.auto_rejoin, "works": works, "attempts": observe_attempts()}
    return {"agent": states.pop(AGENT_UNIT)["active"], "services": states, "rejoin": rejoin}


def role_of(database: dict[str, Any]) -> str:
    if not database.get("running"):
        return "stopped"
    return "secondary" if database.get("in_recovery") else "primary"


def _say(command: tuple[str, ...]) -> str | None:
    """What one of the workload's commands prints; None when it fails, prints nothing, or there is none."""
    if not command:
        return None
    try:
        return run(list(command), timeout=5).strip() or None
    except BackupHaError:
        return None


def observe_postgresql(server: Postgresql) -> dict[str, Any]:
    """The server's process, its control file and, when it lets us in, its replication views."""
    observed: dict[str, Any] = {
        "running": postmaster_pid(server) is not None,
        "accepting": False,
        "unit": server.unit,
        "data_directory": server.data_directory,
        "free_bytes": _free_bytes(server.data_directory),
        "control": None,
        "problem": None,
        "past": [],
    }
    # A start is a standby's, whatever the control file still says. Asked first, for it may end meanwhile.
    starting = is_starting(server)
    try:
        if Path(server.data_directory, "global/pg_control").exists():
            observed["control"] = control_data(server).as_dict()
        if observed["running"]:
            with connect_local(server) as connection:
                observed.update(observe_replication(connection), accepting=True)
    except (BackupHaError, SessionError) as error:
        # Nobody is let in: a server that still recovers, or one without a free connection. Its control file knows.
        observed.update(problem=first_line(error), in_recovery=starting or not _is_in_production(observed["control"]))
    if observed["control"] and not observed["accepting"]:
        observed["settings"] = _configured(server)
    observed["past"] = _observe_past(server, observed)
    observed["outvoted"] = _observe_outvoter(server, observed)
    return observed


def _free_bytes(directory: str) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None


def _configured(server: Postgresql) -> dict[str, str]:
    """What decides whether a standby starts, as the configuration files have it: no server is needed for that."""
    ask = ["runuser", "-u", SUPERUSER, "--", f"{server.bin_directory}/postgres", "-D", server.config_directory, "-C"]
    try:
        return {name: run([*ask, name], timeout=5).strip() for name in STANDBY_MINIMUMS.values()}
    except BackupHaError:
        return {}


def _observe_past(server: Postgresql, observed: dict[str, Any]) -> list[dict[str, Any]]:
    """The timelines that this server's data came along, as far as its disk tells."""
    control = observed["control"]
    if not control:
        return []
    timeline = max(control["timeline"], control["recovery_timeline"], observed.get("timeline") or 0)
    known = [observed.get("lsn"), control["recovery_lsn"], control["checkpoint_lsn"]]
    reached = max(parse_lsn(lsn) for lsn in known if lsn)
    try:
        past = read_past(server.data_directory, timeline, reached, control["segment_bytes"])
    except OSError:  # WAL comes and goes while it is looked at
        return []
    return [asdict(stretch) for stretch in past]


def _observe_outvoter(server: Postgresql, observed: dict[str, Any]) -> dict[str, Any] | None:
    """The timeline that left this node's data out, on a node that does not write itself."""
    if not observed["control"] or (observed["running"] and not observed.get("in_recovery")):
        return None
    control = ControlData(**observed["control"])
    timeline = max(control.timeline, control.recovery_timeline, observed.get("timeline") or 0)
    reached = observed.get("replay_lsn") or max(control.recovery_lsn, control.checkpoint_lsn, key=parse_lsn)
    try:
        return find_outvoter(server.data_directory, control, timeline, reached)
    except OSError:
        return None


def _is_in_production(control: dict[str, Any] | None) -> bool:
    return control is not None and control["state"] == "in production"


def observe_replication(connection: Connection) -> dict[str, Any]:
    """Positions, senders, receiver, slots and settings, through one session."""
    recovering = in_recovery(connection)
    current = "greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())" if recovering else "pg_current_wal_lsn()"
    replayed = "pg_last_wal_replay_lsn()" if recovering else "pg_current_wal_lsn()"
    facts = rows(
        connection,
        f"SELECT {current}::text AS lsn, {replayed}::text AS replay_lsn, "
        "current_setting('server_version') AS version, current_setting('server_version_num')::int AS version_num, "
        f"{_TIMELINE_OF_STANDBY if recovering else _TIMELINE_OF_PRIMARY} AS timeline, "
        "(SELECT system_identifier::text FROM pg_control_system()) AS system_identifier, "
        "extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float AS replay_age_s, "
        "(SELECT sum(size) FROM pg_ls_waldir())::bigint AS wal_bytes",
    )[0]
    receivers = rows(connection, _RECEIVER)
    if recovering and receivers and receivers[0]["timeline"]:
        facts["timeline"] = max(facts["timeline"], receivers[0]["timeline"])
    lag = standby_lag(facts["lsn"], facts["replay_lsn"], receivers[0] if receivers else None) if recovering else 0
    settings = ", ".join(f"'{name}'" for name in (*STANDBY_MINIMUMS.values(), "max_slot_wal_keep_size"))
    return {
        **facts,
        "in_recovery": recovering,
        "lag_bytes": lag,
        "senders": [] if recovering else rows(connection, _SENDERS),
        "receiver": receivers[0] if receivers else None,
        "slots": rows(connection, _SLOTS),
        "archive": rows(connection, _ARCHIVE)[0],
        "settings": {
            row["name"]: row["setting"]
            for row in rows(connection, f"SELECT name, setting FROM pg_settings WHERE name IN ({settings})")
        },
    }


def observe_waits(connection: Connection) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a stop of this primary would wait for: the archiver, and who streams."""
    return rows(connection, _ARCHIVE)[0], rows(connection, _SENDERS)


def standby_lag(received: str | None, replayed: str | None, receiver: dict[str, Any] | None) -> int | None:
    """Bytes of WAL that this standby knows of and has not replayed."""
    known = [lsn for lsn in (received, receiver and receiver["latest_end_lsn"]) if lsn]
    if not known:
        return None
    return lsn_distance(format_lsn(max(map(parse_lsn, known))), replayed)
