# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left to be done of a handover. Pure."""

from __future__ import annotations

from ._errors import RefusedError

GIVE_STEPS = (
    "checkpoint",
    "stop_workload",
    "stop_primary",
    "await_replay",
    "promote_secondary",
    "release_endpoint",
    "start_standby",
)


def plan_give(local_role: str, local_state: str, peer_in_recovery: bool) -> list[str]:
    """The steps that are left for the giving node. Pure.

    ``local_role`` as in observe_node(), ``local_state`` as in the control file. Every interrupted prefix of a
    handover is one of the cases below, so running it again finishes it.
    """
    if local_role == "primary":
        if not peer_in_recovery:
            raise RefusedError("Nothing was changed.", ["Both nodes accept writes. Stop one of them."])
        return list(GIVE_STEPS)
    if not peer_in_recovery:
        return ["release_endpoint", "start_standby"] if local_role == "stopped" else []
    if local_role == "stopped" and local_state == "shut down":
        return list(GIVE_STEPS[GIVE_STEPS.index("await_replay") :])
    raise RefusedError(
        "Nothing was changed.",
        [
            f"This node does not accept writes (it is {local_role}, its control file says '{local_state}') and neither "
            "does the other one. Run backup-ha resume on the node that was the primary."
        ],
    )
