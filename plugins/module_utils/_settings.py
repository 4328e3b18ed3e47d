# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which settings of the cluster an existing PostgreSQL server takes up only with a restart, and which not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._config import Postgresql
from ._errors import BackupHaError
from ._system import run

# What a restart is needed for, of roles/node/templates/postgresql.conf.j2.
RESTART_SETTINGS = {"hot_standby": "on", "listen_addresses": "*", "wal_log_hints": "on", "wal_level": "replica"}


def survey_settings(server: Postgresql, present: dict[str, str], wanted: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Compare what the cluster will set with what a running server has.

    ``present`` holds, of the settings that only a restart changes, those that the cluster sets; ``wanted`` is
    backup_ha_postgresql_settings. Returns ``name = value`` of each that needs a restart, and PostgreSQL's words about
    each that it does not accept.
    """
    problems, normal = [], {}
    for name, value in wanted.items():
        try:
            normal[name] = as_postgresql_reads(server, name, str(value))
        except BackupHaError as error:
            problems.append(f"{name} = {value}: {str(error).rpartition('FATAL:')[2].strip()}")
    return restarts_for(present, normal), problems


def restarts_for(present: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Pure. More WAL than a standby needs is no reason for a restart.

    >>> restarts_for({"wal_level": "logical", "wal_log_hints": "off", "port": "5432"}, {"port": "5433"})
    ['wal_log_hints = on', 'port = 5433']
    """
    all_wanted = {**RESTART_SETTINGS, **wanted}
    if present.get("wal_level") == "logical" and "wal_level" not in wanted:
        del all_wanted["wal_level"]
    return [f"{name} = {value}" for name, value in all_wanted.items() if present.get(name, value) != value]


def as_postgresql_reads(server: Postgresql, name: str, value: str, ask: Callable[[list[str]], str] = run) -> str:
    """The value in the unit of pg_settings: ``2GB`` of shared_buffers is 262144 pages. BackupHaError: it is wrong."""
    program = f"{server.bin_directory}/postgres"
    ask_for = ["-D", server.config_directory, "-C", name, "-c", f"{name}={value}"]
    return ask(["runuser", "-u", "postgres", "--", program, *ask_for]).strip()
