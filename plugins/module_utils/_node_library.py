# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The library that a node keeps, for its units and the command backup-ha: the very files that the modules run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Ansible packs what is imported anywhere; here it is shipped, and loading it would take longer than all the rest.
    from . import _command  # noqa: F401

LIBRARY = Path("/usr/lib/backup-ha/backup_ha")
COMMAND = Path("/usr/bin/backup-ha")
NODE_MODULES = (
    "_abstain",
    "_agent",
    "_agent_decision",
    "_auto_rejoin",
    "_auto_rejoin_attempt",
    "_auto_rejoin_decision",
    "_auto_rejoin_health",
    "_auto_rejoin_record",
    "_before_start",
    "_bounded",
    "_cli",
    "_clone",
    "_command",
    "_config",
    "_control",
    "_database",
    "_deliver",
    "_down_word",
    "_endpoint",
    "_errors",
    "_event_list",
    "_event_text",
    "_events",
    "_evidence",
    "_failover",
    "_failover_command",
    "_fence",
    "_file_command",
    "_file_drift",
    "_file_guard",
    "_file_process",
    "_file_state",
    "_file_store",
    "_file_sync",
    "_file_tree",
    "_file_watch",
    "_files",
    "_fork",
    "_fork_copy",
    "_fresh_copy",
    "_given_up",
    "_grant",
    "_heard",
    "_leftovers",
    "_loss",
    "_lsn",
    "_metrics",
    "_node_text",
    "_notice_decision",
    "_notices",
    "_observe",
    "_operation",
    "_parameters",
    "_past",
    "_port",
    "_postgres",
    "_primary_memory",
    "_promotion",
    "_protection",
    "_rejoin",
    "_rejoin_facts",
    "_rejoin_outcome",
    "_rejoin_plan",
    "_resume",
    "_rewind",
    "_spool",
    "_streaming",
    "_system",
    "_takeover",
    "_timeline",
    "_unusable",
    "_user_data",
    "_witness",
)
SCRIPT = """#!/usr/bin/python3
import sys

sys.path.insert(0, "/usr/lib/backup-ha")
if sys.argv[1:] == ["before-start"]:
    from backup_ha._before_start import main
else:
    from backup_ha._command import main

raise SystemExit(main(sys.argv[1:]))
"""


def library_files() -> list[dict[str, str]]:
    """The sources of the library, as Ansible packed them."""
    files = [{"path": str(LIBRARY / "__init__.py"), "content": "", "mode": "0644", "group": "root"}]
    for name in NODE_MODULES:
        spec = importlib.util.find_spec(f".{name}", __package__)
        source: str = spec.loader.get_source(spec.name)  # type: ignore[union-attr]
        files.append({"path": str(LIBRARY / f"{name}.py"), "content": source, "mode": "0644", "group": "root"})
    return [*files, {"path": str(COMMAND), "content": SCRIPT, "mode": "0755", "group": "root"}]
