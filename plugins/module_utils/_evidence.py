# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this node and the control node see of a primary that may be gone. Reads only.

Everybody is asked at the same time, and silence costs no more than TOTAL_S: whoever does not answer a socket within
that time on a local network answers nobody in time. Threads that still wait then are left to end by themselves.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from . import _endpoint
from ._config import NodeConfig
from ._control import ControlData
from ._database import has_cluster_database
from ._errors import BackupHaError, UnreachableError, first_line
from ._grant import peer_says_down
from ._heard import last_heard
from ._lsn import parse_lsn
from ._observe import observe_replication
from ._operation import read_operation
from ._parameters import describe_too_small
from ._past import find_outvoter
from ._port import TCP_S, ask_port
from ._postgres import Connection, SessionError, connect_peer, control_data, in_recovery, one
from ._primary_memory import was_primary
from ._protection import is_lossless, read_word
from ._system import run
from ._timeline import segment_name

TAKING_OVER = ("promote", "serve")
TOTAL_S = 0.8
SILENT_PEER: dict[str, Any] = {"port": "silent", "session": "none", "problem": None, "ping": False}


def gather(config: NodeConfig, connection: Connection, control: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask everybody. ``connection`` leads to the local server; ``control`` is what the control node saw.

    The local server is read last, because whether the primary still sends shows meanwhile.
    """
    began = time.time()
    held_here = _endpoint.holds(config.endpoint)
    address, port = config.peer_address, config.postgresql.port
    questions: dict[str, Callable[[], Any]] = {
        "port": lambda: ask_port(address, port),
        "session": lambda: _ask_peer(config),
        "ping": lambda: _pings(address),
    }
    if not held_here:
        questions["holder"] = lambda: _endpoint.probe(config.endpoint)
        questions["endpoint_port"] = lambda: ask_port(config.endpoint.address, port)
    answers = ask_all(questions, TOTAL_S)
    return {
        "node": config.node,
        "peer": config.peer,
        "endpoint_address": config.endpoint.address,
        "began": began,
        "local": observe_local(config, connection),
        "there": {
            **SILENT_PEER,
            # A port that accepts and then stays silent is open: the session's own attempt takes longer to fail.
            "port": answers.get("port") or "silent",
            "ping": bool(answers.get("ping")),
            **(answers.get("session") or {}),
        },
        "endpoint": {
            "held_here": held_here,
            "holder": answers.get("holder"),
            "port": answers.get("endpoint_port") or "silent",
        },
        "control": control,
    }


def ask_all(questions: dict[str, Callable[[], Any]], seconds: float) -> dict[str, Any]:
    """Ask at the same time and return the answers that came in time. Raises BackupHaError when asking failed."""
    answers: dict[str, Any] = {}
    failures: list[str] = []

    def ask(name: str, question: Callable[[], Any]) -> None:
        try:
            answers[name] = question()
        except Exception as error:  # noqa: BLE001 it must not end in a thread that nobody looks at
            failures.append(f"{name}: {first_line(error)}")

    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in questions.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if failures:
        raise BackupHaError(f"The evidence could not be gathered ({'; '.join(sorted(failures))}).")
    return dict(answers)


def _pings(address: str) -> bool:
    try:
        return "1 received" in run(["ping", "-n", "-c", "1", "-W", str(TCP_S), address], timeout=2, check=False)
    except BackupHaError:
        return False


def _ask_peer(config: NodeConfig) -> dict[str, Any]:
    """What the other node's PostgreSQL says of itself in a session: writer or standby, its timeline and position."""
    try:
        with connect_peer(config, timeout=TCP_S) as peer:
            if not in_recovery(peer):
                return {"session": "writer"}
            facts = observe_replication(peer)
    except (UnreachableError, SessionError) as error:
        return {"problem": first_line(error)}
    known = [lsn for lsn in (facts["lsn"], facts["replay_lsn"]) if lsn]
    return {
        "session": "standby",
        "timeline": facts["timeline"],
        "lsn": max(known, key=parse_lsn) if known else None,
        "system_identifier": facts["system_identifier"],
    }


def observe_local(config: NodeConfig, connection: Connection) -> dict[str, Any]:
    """This node's own server: how far it has come, and when it last heard from the primary."""
    facts = observe_replication(connection)
    recovering = facts["in_recovery"]
    receiver = facts["receiver"] or {}
    received = one(connection, "SELECT pg_last_wal_receive_lsn()::text") if recovering else None
    control = control_data(config.postgresql)
    segment_size = int(one(connection, "SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'"))
    known = [lsn for lsn in (received, facts["replay_lsn"]) if lsn]
    position = max(known, key=parse_lsn) if known else None
    now = time.time()
    silent_s = receiver.get("silent_s")
    last_message = now - silent_s if silent_s is not None else last_heard()
    last_wal = _written(config.postgresql.data_directory, facts["timeline"], position, segment_size)
    heard = max((at for at in (last_message, last_wal) if at), default=None)
    return {
        "role": "secondary" if recovering else "primary",
        "member": has_cluster_database(connection),
        "timeline": facts["timeline"],
        "system_identifier": facts["system_identifier"],
        "received": position,
        "replayed": facts["replay_lsn"],
        "too_small": describe_too_small(config.node, _with_control(config, facts, control)),
        "outvoted": find_outvoter(
            config.postgresql.data_directory, control, facts["timeline"], facts["replay_lsn"] if recovering else None
        ),
        "paused": bool(recovering and one(connection, "SELECT pg_is_wal_replay_paused()")),
        "was_primary": was_primary(facts["timeline"]),
        "told_down": peer_says_down(connection),
        "began_to_take_over": began_to_take_over(config.node, read_operation()),
        # A receiver that only tries begins at a segment's first byte.
        "streamed": bool(received and parse_lsn(received) % segment_size),
        "synchronous": is_lossless(config, read_word(config), facts["timeline"], heard and now - heard),
        "receiver": receiver.get("status"),
        "latest_end": receiver.get("latest_end_lsn"),
        "last_message": last_message,
        "last_wal": last_wal,
    }


def _with_control(config: NodeConfig, facts: dict[str, Any], control: ControlData) -> dict[str, Any]:
    return {"unit": config.postgresql.unit, "settings": facts["settings"], "control": control.as_dict()}


def began_to_take_over(node: str, record: dict[str, Any] | None) -> bool:
    """A failover to this node was interrupted when all had been judged and only the doing was left. Pure."""
    return bool(
        record and (record["kind"], record.get("target")) == ("failover", node) and record.get("step") in TAKING_OVER
    )


def _written(data_directory: str, timeline: int | None, position: str | None, segment_size: int) -> float | None:
    """When the last received WAL was written: after the receiver's end nothing else tells when that was."""
    if not timeline or not position:
        return None
    name = segment_name(timeline, max(0, parse_lsn(position) - 1), segment_size)
    try:
        return os.stat(os.path.join(data_directory, "pg_wal", name)).st_mtime
    except OSError:
        return None


def ask_from_control_node(address: str, endpoint: str, port: int) -> dict[str, Any]:
    """What the machine that runs the playbook reaches of the old primary; needs no node and no PostgreSQL."""
    questions = {"port": lambda: ask_port(address, port), "endpoint_port": lambda: ask_port(endpoint, port)}
    return {"port": "silent", "endpoint_port": "silent", **ask_all(questions, TOTAL_S)}
