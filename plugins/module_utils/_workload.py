# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup server itself, asked whether it works."""

from __future__ import annotations

import subprocess

from ._config import NodeConfig

LIMIT_S = 60.0  # for a probe that does not bound itself


def ask_workload(config: NodeConfig, limit_s: float = LIMIT_S) -> str:
    """Run the workload's probe here, on the primary. Returns what is wrong as a sentence; empty when nothing is."""
    probe, name = config.workload.probe, config.workload.name
    if not probe:
        return ""
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=limit_s, check=False)
    except OSError as error:
        return f"The probe of {name} on {config.node} can't be run: {error}."
    except subprocess.TimeoutExpired:
        return f"The probe of {name} on {config.node} did not end within {limit_s:.0f} s."
    if done.returncode == 0:
        return ""
    said = (done.stderr or done.stdout).strip().splitlines()
    return f"{name} on {config.node} does not work: {said[-1] if said else f'its probe ended with {done.returncode}.'}"
