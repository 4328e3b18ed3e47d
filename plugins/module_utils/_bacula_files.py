# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything around a Bacula configuration that is not text: files, commands that print parts of it, names, sockets."""

from __future__ import annotations

import ipaddress
import os
import pwd
import shlex
import socket
import subprocess
from pathlib import Path
from typing import Any

from ._bacula import Configuration, parse
from ._bacula_config import summary

USER = "bacula"
COMMAND_TIMEOUT_S = 10


def read_text(target: str) -> str:
    """A file's text, or what the command after a leading ``|`` prints. Raises OSError.

    Bytes that are no UTF-8 and the ends of lines survive reading and writing.
    """
    if target.startswith("|"):
        return _output(target[1:])
    # systemd starts the Director in /.
    path = Path("/", target)
    # Bacula opens a directory without complaint and reads nothing from it.
    return "" if path.is_dir() else path.read_bytes().decode("utf-8", "surrogateescape")


def _output(command: str) -> str:
    """Run the command as the Director does: without a shell of ours, and as its user."""
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            shlex.split(command),
            capture_output=True,
            check=True,
            timeout=COMMAND_TIMEOUT_S,
            cwd="/",
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
            **_director_identity(),
        )
    except (subprocess.SubprocessError, ValueError) as error:
        raise OSError(str(error)) from error
    return done.stdout.decode("utf-8", "surrogateescape")


def _director_identity() -> dict[str, Any]:
    """The Director's user and groups where there is such a user and this process may become it."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        return {}
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}


def load(path: str) -> Configuration | None:
    """The configuration that begins in ``path``; None when there is no such file."""
    return parse(path, read_text) if Path(path).is_file() else None


def inspect(path: str) -> dict[str, Any]:
    """The summary of a configuration, each address with what it leads to from here."""
    configuration = load(path)
    found: dict[str, Any] = summary(configuration or Configuration())
    for resource in (resource for resources in found.values() for resource in resources):
        for address in resource["addresses"]:
            address["resolved"] = resolve(address["address"])
    problems = configuration.problems if configuration else []
    return {
        "exists": configuration is not None,
        "files": configuration.files if configuration else [],
        "problems": [{"file": p.file, "line": p.line, "message": p.message} for p in problems],
        **found,
    }


def resolve(name: str) -> list[dict[str, Any]]:
    """The addresses that a name (or number) leads to, and whether this host has them; none when it does not resolve."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    numbers = dict.fromkeys(str(answer[4][0]).partition("%")[0] for answer in answers)
    return [{"address": number, "local": is_local(number)} for number in numbers]


def is_local(number: str) -> bool:
    """Whether one of this host's interfaces has the address: nothing else can be bound."""
    version = ipaddress.ip_address(number).version
    try:
        with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((number, 0))
    except OSError:
        return False
    return True
