# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this node's disk and the files in the stream differ."""

from __future__ import annotations

import os
import time
from typing import Any

from . import _file_store as store
from ._config import NodeConfig
from ._errors import BackupHaError
from ._file_state import read_state
from ._file_sync import plan_application, plan_capture, read_unapplied
from ._files import Survey, survey
from ._postgres import SessionError, connect_cluster_database, in_recovery, rows


def observe_files(config: NodeConfig) -> dict[str, Any] | None:
    """``drift``: a list of path, how (changed, missing, extra) and age_s; ``problems``: a sentence for each path.

    None where nobody can tell: PostgreSQL does not answer, or there is nothing in the stream yet.
    """
    if not config.workload.files:
        return None
    try:
        with connect_cluster_database(config.postgresql) as connection:
            if not store.is_ready(connection):
                return None
            found = survey(config.workload)
            in_stream = rows(
                connection,
                "SELECT path, digest, extract(epoch FROM captured)::float AS captured FROM backup_ha.file",
            )
            standby = in_recovery(connection)
    except (BackupHaError, SessionError, OSError):
        return None
    digests = {row["path"]: row["digest"] for row in in_stream}
    paths, problems = _compare(config, digests, found, standby)
    captured = {row["path"]: row["captured"] for row in in_stream}
    drift = [_difference(path, digests, found, captured.get(path, 0.0)) for path in paths]
    return {"drift": drift, "problems": problems}


def _compare(
    config: NodeConfig, digests: dict[str, str], found: Survey, standby: bool
) -> tuple[list[str], dict[str, str]]:
    if standby:
        write, remove, foreign = plan_application(config.workload, digests, found)
        return sorted({*write, *remove}), {**found.problems, **read_state().failed, **foreign}
    write, remove = plan_capture(digests, found, set())
    failed = {path: problem for path, problem in read_state().failed.items() if path in read_unapplied()}
    return sorted({*write, *remove}), {**found.problems, **failed}


def _difference(path: str, digests: dict[str, str], found: Survey, captured: float) -> dict[str, Any]:
    how = "changed" if path in digests else "extra"
    if how == "changed" and not os.path.lexists(path):
        how = "missing"
    touched = found.changed_ns.get(path, _parent_changed_ns(path)) / 1e9
    return {"path": path, "how": how, "age_s": round(max(0.0, time.time() - max(touched, captured)), 1)}


def _parent_changed_ns(path: str) -> int:
    """When something was created or removed in the next directory that there is."""
    while path != "/":
        path = os.path.dirname(path)
        try:
            return os.lstat(path).st_ctime_ns
        except OSError:
            continue
    return 0
