# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching the other machine off: a fence agent (the ClusterLabs fence agent API), or any command.

/etc/backup-ha/fence.json is written by the node role and readable for root only. An agent reads its parameters as lines
on standard input, so no secret is on a command line; what it prints is shown without the parameters' values.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._config import NodeConfig
from ._errors import BackupHaError

FENCE_PATH = Path("/etc/backup-ha/fence.json")
TIMEOUT_S = 20.0
AGENT_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_AGENT = re.compile(r"fence_[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Fence:
    """Either an agent with its parameters or a command."""

    agent: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    timeout: float = TIMEOUT_S

    @property
    def name(self) -> str:
        return self.agent or self.command[0]


def parse_fence(data: Any) -> Fence:
    """Build the fence from its JSON document. Raises BackupHaError that says what is wrong, without any value."""
    wrong = f"{FENCE_PATH} describes no fence:"
    if not isinstance(data, dict) or bool(data.get("agent")) == bool(data.get("command")):
        raise BackupHaError(f"{wrong} it needs either an agent or a command.")
    agent, command, parameters = data.get("agent") or "", data.get("command") or [], data.get("parameters") or {}
    if agent and not _AGENT.fullmatch(agent):
        raise BackupHaError(f"{wrong} an agent's name is fence_ and letters, digits or underscores.")
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise BackupHaError(f"{wrong} the command has to be a list of words.")
    if not isinstance(parameters, dict):
        raise BackupHaError(f"{wrong} the parameters have to be names with values.")
    told = {str(key): _word(value) for key, value in parameters.items()}
    for key, value in told.items():
        if "\n" in key + value or "=" in key or key == "action":
            raise BackupHaError(f"{wrong} the parameter {key!r} can't be passed on as a line.")
    try:
        timeout = float(data.get("timeout") or TIMEOUT_S)
    except (TypeError, ValueError):
        raise BackupHaError(f"{wrong} its time-out has to be a number of seconds.") from None
    return Fence(agent, told, tuple(command), timeout)


def _word(value: Any) -> str:
    """Agents know yes and no as 1 and 0."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def load_fence(path: Path = FENCE_PATH) -> Fence | None:
    """The fence that is configured on this node; None when there is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise BackupHaError(f"{path} is not JSON.") from error
    except OSError as error:
        raise BackupHaError(f"{path} can't be read: {error.strerror}.") from error
    return parse_fence(data)


def find_fence() -> tuple[Fence | None, str]:
    """The fence, or what is wrong with it, as a sentence: not every failover needs it."""
    try:
        return load_fence(), ""
    except BackupHaError as error:
        return None, str(error)


def standard_input(fence: Fence) -> str:
    """What the agent reads: one parameter a line."""
    if not fence.agent:
        return ""
    return "".join(f"{key}={value}\n" for key, value in {"action": "off", **fence.parameters}.items())


def without_secrets(text: str, fence: Fence) -> str:
    """The last line of what the fence printed, with every parameter's value blotted out."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1][:300] if lines else "it printed nothing"
    for value in sorted(fence.parameters.values(), key=len, reverse=True):
        if value:
            last = last.replace(value, "****")
    return last


def switch_off(fence: Fence, config: NodeConfig) -> None:
    """Run the fence. Raises BackupHaError unless it reports success in time."""
    argv = list(fence.command)
    if fence.agent:
        found = shutil.which(fence.agent, path=AGENT_PATH)
        if not found:
            raise BackupHaError(f"The fence agent {fence.agent} is not installed on {config.node}.")
        argv = [found]
    told = {"BACKUP_HA_NODE": config.peer, "BACKUP_HA_NODE_ADDRESS": config.peer_address}
    code, said = _run(argv, standard_input(fence), {**os.environ, **told, "LC_ALL": "C"}, fence)
    if code != 0:
        raise BackupHaError(
            f"The fence {fence.name} did not switch {config.peer} off: "
            f"exit code {code}, {without_secrets(said, fence)}."
        )


def _run(argv: list[str], text: str, environment: dict[str, str], fence: Fence) -> tuple[int, str]:
    """Exit code and output; the whole process group ends when the time is over."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise BackupHaError(f"The fence {fence.name} could not be started: {error.strerror}.") from error
    with process:
        try:
            said, _nothing = process.communicate(text, timeout=fence.timeout)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise BackupHaError(f"The fence {fence.name} did not end within {fence.timeout:.0f} s.") from error
    return process.returncode, said
