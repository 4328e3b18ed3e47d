# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.duet.backup_ha.plugins.module_utils._switchover import (
    Limits,
    forecast,
    foreign_streamers,
    interrupted_target,
    refusals,
    roles,
)

DOCUMENTATION = r"""
name: switchover_plan
short_description: Decide whether a switchover may begin, and who gives and who takes
version_added: 0.1.0
description:
  - Judges what M(duet.backup_ha.node_info) found on both nodes. Changes nothing.
  - Returns C(giver), C(taker), C(resumes) (an interrupted switchover is finished), C(forecast) (how long the stop will
    take, when that was measured), C(said) (the same and who will be ended, as sentences) and C(refusals) (sentences;
    none when it may begin).
options:
  _input:
    description: For each node's name its observation, or an empty value when it did not answer.
    type: dict
    required: true
  max_lag_bytes:
    description: How many bytes of WAL the secondary may be behind.
    type: int
    default: 16777216
  on_busy:
    description:
      - With V(abort), running jobs speak against a switchover, and so does a workload that does not say how many it
        runs; with V(cancel), they are cut off.
    type: str
    choices: [abort, cancel]
    default: abort
  on_foreign_streamers:
    description: With V(abort), others that stream WAL speak against a switchover; with V(end), they are ended.
    version_added: 0.2.0
    type: str
    choices: [abort, end]
    default: abort
  max_archive_waiting:
    description: How many WAL files may wait for archiving.
    version_added: 0.2.0
    type: int
    default: 16
  timeout:
    description: For how many seconds nobody may write.
    version_added: 0.2.0
    type: float
    default: 30
  deadline:
    description: How many seconds are left for everything.
    version_added: 0.2.0
    type: float
    default: 300
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
plan: "{{ {'node1': one.node, 'node2': two.node} | duet.backup_ha.switchover_plan }}"
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
"""


def switchover_plan(
    nodes: dict[str, dict[str, Any] | None],
    max_lag_bytes: int = 16777216,
    on_busy: str = "abort",
    on_foreign_streamers: str = "abort",
    max_archive_waiting: int = 16,
    timeout: float = 30.0,
    deadline: float = 300.0,
) -> dict[str, Any]:
    """Plain data in, plain data out; the decisions are in module_utils/_switchover.py and _forecast.py."""
    known = {name: node or None for name, node in nodes.items()}
    limits = Limits(
        lag_bytes=int(max_lag_bytes),
        archive_waiting=int(max_archive_waiting),
        cancel_jobs=on_busy == "cancel",
        end_streams=on_foreign_streamers == "end",
        timeout=float(timeout),
        deadline=float(deadline),
    )
    giver, taker = roles(known)
    expected = forecast(known)
    streams = foreign_streamers(known.get(giver or "") or {"postgresql": {}})
    said = [expected.sentence()] if expected else []
    if streams and limits.end_streams:
        said.append(f"Streams of WAL that will be ended just before: {', '.join(streams)}.")
    return {
        "giver": giver,
        "taker": taker,
        "resumes": interrupted_target(known) is not None,
        "forecast": expected.as_dict() if expected else None,
        "said": " ".join(said),
        "refusals": refusals(known, limits),
    }


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"switchover_plan": switchover_plan}
