# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The giving node's plan: what is left of a handover that was interrupted anywhere, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._handover_plan import GIVE_STEPS, plan_give

ROLES = ("primary", "secondary", "stopped")
# Every state that pg_controldata knows.
STATES = (
    "starting up",
    "shut down",
    "shut down in recovery",
    "shutting down",
    "in crash recovery",
    "in archive recovery",
    "in production",
)
ALL = list(GIVE_STEPS)
FROM_REPLAY = ALL[ALL.index("await_replay") :]
AFTER_PROMOTION = ALL[ALL.index("promote_secondary") + 1 :]


@dataclass
class World:
    """What the giving node can see of itself and of the other one, and what it cannot: services and address."""

    role: str = "primary"
    state: str = "in production"
    peer_in_recovery: bool = True
    workload_runs: bool = True
    endpoint_here: bool = True

    def plan(self) -> list[str]:
        return plan_give(self.role, self.state, self.peer_in_recovery)

    def apply(self, step: str) -> None:
        """Carry out a step, and fail where it would have no sense or would break the one writer."""
        if step == "stop_workload":
            self.workload_runs = False
        elif step == "stop_primary":
            assert self.role == "primary"
            self.role, self.state, self.workload_runs = "stopped", "shut down", False
        elif step == "promote_secondary":
            assert (self.role, self.state) == ("stopped", "shut down"), "promoted while this node may still write"
            assert self.peer_in_recovery, "promoted a writer"
            self.peer_in_recovery = False
        elif step == "release_endpoint":
            assert not self.peer_in_recovery
            self.endpoint_here = False
        elif step == "start_standby":
            assert self.role == "stopped" and not self.peer_in_recovery
            # ExecStartPre takes the address away before every start.
            self.role, self.state, self.endpoint_here = "secondary", "in archive recovery", False
        else:
            assert step in ("checkpoint", "await_replay"), f"no such step: {step}"


DONE = World("secondary", "in archive recovery", peer_in_recovery=False, workload_runs=False, endpoint_here=False)

# What a plan must hold after the first n steps: what cannot be seen to have happened is done again.
REMAINDERS = [
    *((done, ALL) for done in range(ALL.index("stop_primary") + 1)),
    (ALL.index("stop_primary") + 1, FROM_REPLAY),
    (ALL.index("await_replay") + 1, FROM_REPLAY),
    (ALL.index("promote_secondary") + 1, AFTER_PROMOTION),
    (ALL.index("release_endpoint") + 1, AFTER_PROMOTION),
    (ALL.index("start_standby") + 1, []),
]


def interrupted(done: int) -> World:
    world = World()
    for step in ALL[:done]:
        world.apply(step)
    return world


def test_every_prefix_is_tried() -> None:
    assert [done for done, _left in REMAINDERS] == list(range(len(ALL) + 1))


@pytest.mark.parametrize(("done", "left"), REMAINDERS)
def test_an_interrupted_handover_plans_the_remainder(done: int, left: list[str]) -> None:
    assert interrupted(done).plan() == left


@pytest.mark.parametrize("done", range(len(ALL) + 1))
def test_an_interrupted_handover_is_finished_by_running_it_again(done: int) -> None:
    world = interrupted(done)
    for step in world.plan():
        world.apply(step)
    assert world == DONE
    assert world.plan() == []


@pytest.mark.parametrize("first", range(len(ALL) + 1))
@pytest.mark.parametrize("second", range(len(ALL) + 1))
def test_a_rerun_may_be_interrupted_as_well(first: int, second: int) -> None:
    world = interrupted(first)
    for step in world.plan()[:second]:
        world.apply(step)
    for step in world.plan():
        world.apply(step)
    assert world == DONE


def planned_or_none(role: str, state: str, peer_in_recovery: bool) -> list[str] | None:
    """The plan, or None when it is refused."""
    try:
        return plan_give(role, state, peer_in_recovery)
    except RefusedError:
        return None


def expected(role: str, state: str, peer_in_recovery: bool) -> list[str] | None:
    """The table of all cases, in words: who has a writer, and what this node knows of its own end."""
    if role == "primary":
        return ALL if peer_in_recovery else None
    if not peer_in_recovery:
        return AFTER_PROMOTION if role == "stopped" else []
    return FROM_REPLAY if (role, state) == ("stopped", "shut down") else None


@pytest.mark.parametrize(("role", "state", "recovering"), list(product(ROLES, STATES, (True, False))))
def test_every_combination(role: str, state: str, recovering: bool) -> None:
    assert planned_or_none(role, state, recovering) == expected(role, state, recovering)


@pytest.mark.parametrize(("role", "state"), list(product(ROLES, STATES)))
def test_nobody_is_promoted_when_the_other_node_writes(role: str, state: str) -> None:
    assert "promote_secondary" not in (planned_or_none(role, state, peer_in_recovery=False) or [])


@pytest.mark.parametrize(("role", "state"), list(product(ROLES, STATES)))
def test_a_promotion_is_preceded_by_the_wait_for_the_last_record(role: str, state: str) -> None:
    steps = planned_or_none(role, state, peer_in_recovery=True) or []
    if "promote_secondary" in steps:
        assert steps.index("await_replay") < steps.index("promote_secondary")
        assert role == "stopped" or steps.index("stop_primary") < steps.index("await_replay")


def test_two_writers_are_refused_with_what_to_do() -> None:
    with pytest.raises(RefusedError) as refused:
        plan_give("primary", "in production", peer_in_recovery=False)
    assert refused.value.reasons == ["Both nodes accept writes. Stop one of them."]


def test_two_standbys_are_refused_with_what_was_found_and_what_to_do() -> None:
    with pytest.raises(RefusedError) as refused:
        plan_give("secondary", "in archive recovery", peer_in_recovery=True)
    (reason,) = refused.value.reasons
    assert "it is secondary, its control file says 'in archive recovery'" in reason
    assert "backup-ha resume" in reason


def test_a_crashed_primary_is_never_handed_over() -> None:
    """Its last records may be missing on the other node, and nothing says so."""
    with pytest.raises(RefusedError, match="Nothing was changed"):
        plan_give("stopped", "in production", peer_in_recovery=True)
