# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is worth a notice: its kinds, and how a node says it. In the journal at once, and on the way to everybody else.

An event is a plain dictionary: id, at (epoch seconds), kind, severity, cluster, node, message, details. Who emits one
writes it to the journal and to this node's disk, and never waits for anything else; _deliver.py does the rest.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from . import _spool
from ._config import NodeConfig, load_config
from ._errors import BackupHaError, outcome_of

JOURNAL = "/run/systemd/journal/socket"
JOURNAL_S = 0.5
PRIORITIES = {"error": 3, "warning": 4, "info": 5}


class Kind(NamedTuple):
    """``message_id`` is what journalctl finds it by; it never changes."""

    message_id: str
    severity: str


# The list is documented in docs/events.md.
KINDS = {
    "operation_started": Kind("fe760e27ebb94bdd854ba6e50a2da022", "info"),
    "operation_ended": Kind("bce034c781bb4a5ea4ae5aa5dddcf359", "info"),
    "role_changed": Kind("2df2345f378e4b9db5c6bc03162d8daf", "info"),
    "stopped_serving": Kind("1c83046ca95e4472bfe6a73e40b90367", "error"),
    "protection_degraded": Kind("d915171e9b924c3b9d72abcf72d3d992", "warning"),
    "protection_restored": Kind("0ceb24446317440a809fd36c10a67a5f", "info"),
    "fork_kept": Kind("c15c8ae5cb4643ef95837269083586c5", "warning"),
    "secondary_away": Kind("0324453154fc4a0f9bfd002a625ebe4d", "warning"),
    "secondary_back": Kind("4fa8dc7281904c1db5a0de089b2701ad", "info"),
    "certificate_expires": Kind("97075e0f1167450d978efb54627c76dc", "warning"),
    "wal_half": Kind("c3203bbfc24a4f6584fb1919c0edbf74", "warning"),
    "wal_lost": Kind("014f5ac32a4042da9431a5157fd95109", "error"),
    "file_edited": Kind("d45be51a3987457aa5d76cbd54028698", "warning"),
    "file_not_replicated": Kind("1f63582378e2413690fcaed4901ac368", "warning"),
}


def emit(
    kind: str, message: str, config: NodeConfig | None, severity: str = "", keep: bool = True, **details: Any
) -> dict[str, Any]:
    """Say that something happened, now. Raises nothing: whoever emits has more important things to do.

    With ``keep=False`` it is in this node's journal only.
    """
    event = {
        "id": new_identity(),
        "at": round(time.time(), 6),
        "kind": kind,
        "severity": severity or KINDS[kind].severity,
        "cluster": config.cluster if config else "",
        "node": config.node if config else socket.gethostname(),
        "message": message,
        "details": details,
    }
    _to_journal(event)
    if keep:
        try:
            _spool.put(event)
        except (OSError, _spool.FullError) as error:  # it is in the journal all the same, and so is this
            say(f"The event {event['id']} ({kind}) is in this journal only: {error}")
    return event


def this_node() -> NodeConfig | None:
    """Who emits, in a module; None on a server that is no node yet, or whose description can't be read."""
    try:
        return load_config()
    except (BackupHaError, OSError):
        return None


def new_identity() -> str:
    """As a UUID of version 4 is written."""
    digits = bytearray(os.urandom(16))
    digits[6], digits[8] = digits[6] & 0x0F | 0x40, digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def document(event: dict[str, Any]) -> dict[str, Any]:
    """What the hook gets, and programs that list events. Pure."""
    seconds, thousandths = divmod(round(event["at"] * 1000), 1000)
    at = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{thousandths:03d}Z"
    kind = KINDS.get(event["kind"])
    return {**event, "at": at, "message_id": kind.message_id if kind else ""}


def journal_datagram(event: dict[str, Any]) -> bytes:
    """An event in journald's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). Pure."""
    fields = {
        "MESSAGE": event["message"],
        "MESSAGE_ID": KINDS[event["kind"]].message_id,
        "PRIORITY": str(PRIORITIES[event["severity"]]),
        "SYSLOG_IDENTIFIER": "backup-ha",
        "BACKUP_HA_EVENT": event["kind"],
        "BACKUP_HA_EVENT_ID": event["id"],
        "BACKUP_HA_CLUSTER": event["cluster"],
        "BACKUP_HA_NODE": event["node"],
        "BACKUP_HA_DETAILS": json.dumps(event["details"], default=str),
    }
    return b"".join(_field(name.encode(), str(value).encode()) for name, value in fields.items())


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name + b"=" + value + b"\n"


def _to_journal(event: dict[str, Any]) -> None:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(JOURNAL_S)
            channel.sendto(journal_datagram(event), JOURNAL)
    except OSError:  # nobody listens; what a unit writes gets there on another way
        say(event["message"])


def say(line: str) -> None:
    """To the journal, from a unit; for what is no event."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def tell_start(config: NodeConfig | None, record: dict[str, Any], keep: bool = True) -> None:
    """An operation begins; ``record`` holds id, kind, by and target."""
    towards = f" towards {record['target']}" if record.get("target") else ""
    details = {"operation": record["id"], "what": record["kind"], "by": record["by"], "target": record.get("target")}
    emit("operation_started", f"{record['by']} began the {record['kind']}{towards}.", config, keep=keep, **details)


def tell_end(
    config: NodeConfig | None, identity: str, what: str, outcome: str, reasons: list[str], keep: bool = True
) -> None:
    """An operation has ended, in the word of _outcome.py; ``interrupted`` when nobody told."""
    because = f" {' '.join(reasons)}" if reasons else ""
    severity = "info" if outcome == "done" else "warning"
    details = {"operation": identity, "what": what, "outcome": outcome, "reasons": reasons}
    emit("operation_ended", f"The {what} has ended: {outcome}.{because}", config, severity, keep, **details)


@contextmanager
def told(config: NodeConfig, what: str, by: str, target: str = "", identity: str = "") -> Iterator[dict[str, Any]]:
    """Tell of an operation that is run on this node alone, whatever its end. The block may change what it is given."""
    ending: dict[str, Any] = {"outcome": "done", "reasons": []}
    identity = identity or f"{config.cluster}-{what}-{time.time():.3f}"
    tell_start(config, {"id": identity, "kind": what, "by": by, "target": target})
    try:
        yield ending
    except BaseException as error:
        word = outcome_of(error) if isinstance(error, BackupHaError) else "failed"
        tell_end(config, identity, what, word, [str(error), *getattr(error, "reasons", [])])
        raise
    tell_end(config, identity, what, **ending)
