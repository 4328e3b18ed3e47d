# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One operation at a time on a cluster, and how far it is: a record on every node's disk, with a lease.

The record outlives the control node on purpose. Its lease is renewed by every task of the operation; a record whose
lease has run out, or whose control process is known to be dead, is left over and the next operation may take its place.

Each node writes what it is about to do into its record before it does it, so that whoever comes later knows where it
stopped. What has to be done then is decided by the state of the nodes, never by the record.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ._config import STATE_DIRECTORY
from ._errors import BusyError
from ._system import remove_durably, write_durably

OPERATION_PATH = STATE_DIRECTORY / "operation.json"
LEASE_S = 60.0
# What every record has, and what a damaged one counts as: nothing runs, and whoever comes next replaces it.
_UNREADABLE = {"id": "", "kind": "unreadable", "by": "unknown", "started": 0.0, "renewed": 0.0, "boot": ""}


def read_operation(path: Path = OPERATION_PATH) -> dict[str, Any] | None:
    """The record of the operation under way or left over; None when there is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        record = None
    if not isinstance(record, dict) or not record.keys() >= _UNREADABLE.keys():
        record = _UNREADABLE
    return {**record, "age_s": round(time.time() - record["renewed"], 3)}


def identity_of_process(number: int) -> str:
    """Host, boot and process: what runs an operation."""
    return f"{socket.gethostname()}:{boot_id()}:{number}"


def is_dead(controller: str) -> bool:
    """A process of this host and this boot that no longer exists; of other hosts we can't know."""
    host, _colon, process = controller.rpartition(":")
    here = identity_of_process(0).rpartition(":")[0]
    return host == here and process.isdigit() and not os.path.exists(f"/proc/{process}")


def is_left_over(record: dict[str, Any], now: float, boot: str, dead_controllers: list[str]) -> bool:
    """The operation can't be running any more: its lease ran out, this node booted since, or its process is dead.

    A lease from the future is one of a clock that was set back.
    """
    controller = record.get("controller") or ""
    dead = controller in dead_controllers or is_dead(controller)
    return dead or abs(now - record["renewed"]) > LEASE_S or record["boot"] != boot


def refuse_if_busy(record: dict[str, Any] | None, identity: str, dead_controllers: list[str]) -> None:
    """Raise BusyError while another operation runs on this cluster."""
    if record is None or record["id"] == identity or is_left_over(record, time.time(), boot_id(), dead_controllers):
        return
    started = time.strftime("%H:%M:%S", time.localtime(record["started"]))
    raise BusyError(
        "Another operation is running on this cluster.",
        [
            f"The operation '{record['kind']}', started at {started} by {record['by']}, is still running "
            f"(last sign of life {time.time() - record['renewed']:.0f} s ago). Wait until it has ended; if its control "
            f"node is gone, run this again in {LEASE_S:.0f} s."
        ],
        operation=record,
    )


def by_itself(node: str) -> str:
    """Who runs an operation that a node has begun."""
    return f"{node} itself"


def await_own_end(identity: str, patience: float, path: Path = OPERATION_PATH) -> None:
    """Wait while this node does something by itself."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        record = read_operation(path)
        own = record is not None and record["id"] != identity and record["by"].endswith(by_itself(""))
        if not own or record is None or is_left_over(record, time.time(), boot_id(), []):
            return
        time.sleep(0.2)


def begin(
    identity: str,
    kind: str,
    by: str,
    controller: str,
    dead_controllers: list[str],
    target: str = "",
    path: Path = OPERATION_PATH,
) -> dict[str, Any] | None:
    """Write the record, or renew it; ``target`` is the node that becomes primary, where one does.

    Returns the left-over record whose place was taken, if there was one. An operation that is run again goes on at the
    step where it stopped.
    """
    with _locked(path):
        previous = read_operation(path)
        refuse_if_busy(previous, identity, dead_controllers)
        same = previous is not None and previous["id"] == identity
        resumed = previous is not None and (previous["kind"], previous.get("target", "")) == (kind, target)
        now = time.time()
        record = {
            "id": identity,
            "kind": kind,
            "target": target,
            "step": previous.get("step", "") if previous and resumed else "",
            "by": by,
            "controller": controller,
            "started": previous["started"] if previous and same else now,
            "renewed": now,
            "boot": boot_id(),
        }
        write_durably(path, json.dumps(record) + "\n")
    return None if same else previous


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The copy's unit and a task may renew the record at the same time, and neither may bring back an ended one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def advance(step: str, path: Path = OPERATION_PATH) -> None:
    """Put on disk what this node begins to do now, if it does so for an operation."""
    _change(path, step=step)


def renew(path: Path = OPERATION_PATH) -> None:
    """Extend the lease of the operation under way; for steps that take long."""
    _change(path)


@contextmanager
def kept_alive(path: Path = OPERATION_PATH, every_s: float = LEASE_S / 6) -> Iterator[None]:
    """Renew the lease all the while: a checkpoint may take longer than it."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(every_s):
            with suppress(OSError):  # a full disk takes no note, and ends nothing
                renew(path)

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _change(path: Path, **changes: str) -> None:
    if not path.exists():
        return
    with _locked(path):
        record = read_operation(path)
        if record and record["id"]:
            record.pop("age_s")
            write_durably(path, json.dumps({**record, **changes, "renewed": time.time()}) + "\n")


def end(identity: str, path: Path = OPERATION_PATH) -> bool:
    """Remove the record if it is this operation's. True when it was."""
    if not path.exists():
        return False
    with _locked(path):
        record = read_operation(path)
        if record is None or record["id"] != identity:
            return False
        remove_durably(path)
        return True


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
