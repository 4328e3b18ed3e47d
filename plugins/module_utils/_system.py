# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands, systemd units and files that survive a power cut."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._errors import BackupHaError, DeadlineError


def run(argv: list[str], timeout: float = 60.0, check: bool = True) -> str:
    """Run a command under the C locale and return what it printed on standard output."""
    env = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError as error:
        raise BackupHaError(f"The command {argv[0]} is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(f"'{' '.join(argv)}' did not end within {timeout:.0f} s.") from error
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise BackupHaError(f"'{' '.join(argv)}' failed with exit code {done.returncode}: {said}")
    return done.stdout


def unit_states(units: list[str]) -> dict[str, dict[str, str]]:
    """ActiveState, SubState and UnitFileState of each unit; a unit that is not installed is ``not-found``."""
    if not units:
        return {}
    wanted = ("Id", "LoadState", "ActiveState", "SubState", "UnitFileState")
    output = run(["systemctl", "show", f"--property={','.join(wanted)}", *units])
    states: dict[str, dict[str, str]] = {}
    for unit, block in zip(units, output.strip().split("\n\n"), strict=False):
        fields = dict(line.partition("=")[::2] for line in block.splitlines())
        active = fields.get("ActiveState", "unknown")
        states[unit] = {
            "active": "not-found" if fields.get("LoadState") == "not-found" else active,
            "sub": fields.get("SubState", ""),
            "enabled": fields.get("UnitFileState", ""),
        }
    return states


def unit_is_active(unit: str) -> bool:
    return unit_states([unit])[unit]["active"] == "active"


def await_end(unit: str, limit: float = 60.0) -> None:
    """Wait until a unit that somebody began has ended, well or not; DeadlineError when it does not."""
    deadline = time.monotonic() + limit
    while unit_states([unit])[unit]["active"] in ("activating", "active", "deactivating"):
        if time.monotonic() > deadline:
            raise DeadlineError(f"{unit} has not ended after {limit:.0f} s; journalctl -u {unit} may say why.")
        time.sleep(0.05)


def systemctl(verb: str, *units: str, timeout: float = 90.0) -> None:
    run(["systemctl", verb, *units], timeout=timeout)


def notify(state: str) -> None:
    """Tell systemd how this service is (sd_notify(3)); nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.sendall(state.encode())


@contextmanager
def watch_process(pid: int) -> Iterator[int]:
    """A descriptor that becomes readable when the process ends: no polling, no reuse of the pid."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def signal_and_wait(pid: int, number: signal.Signals, timeout: float) -> bool:
    """Send a signal and wait for the process to end. True when it did, within ``timeout`` seconds."""
    try:
        with watch_process(pid) as descriptor:
            signal.pidfd_send_signal(descriptor, number)
            readable, _writable, _other = select.select([descriptor], [], [], max(0.0, timeout))
            return bool(readable)
    except ProcessLookupError:
        return True


def write_durably(path: Path, content: str, mode: int = 0o644) -> None:
    """Replace a file so that after a power cut either the old or the new content is there, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")  # whoever writes it at the same time has another
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_durably(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_directory(path.parent)
