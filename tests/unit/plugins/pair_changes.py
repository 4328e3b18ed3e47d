# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a pair before a switchover, each as a change of a healthy one."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.duet.backup_ha.plugins.module_utils._lsn import parse_lsn
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Node

MIB = 1024 * 1024

Change = Callable[[dict[str, "Node | None"]], None]


def primary(nodes: dict[str, Node | None]) -> Node:
    node = nodes["node1"]
    assert node
    return node


def secondary(nodes: dict[str, Node | None]) -> Node:
    node = nodes["node2"]
    assert node
    return node


def replace(**changed: Node | None) -> Change:
    return lambda nodes: nodes.update(changed)


def behind_in_replay(nodes: dict[str, Node | None]) -> None:
    secondary(nodes)["postgresql"]["lag_bytes"] = 100 * MIB


def behind_on_the_wire(nodes: dict[str, Node | None]) -> None:
    """A standby on a slow network has replayed all that it knows of."""
    primary(nodes)["postgresql"]["senders"][0]["lag_bytes"] = 100 * MIB


def not_a_copy(nodes: dict[str, Node | None]) -> None:
    secondary(nodes)["postgresql"]["control"]["system_identifier"] = worlds.OTHER_SYSTEM


def receives_nothing(nodes: dict[str, Node | None]) -> None:
    secondary(nodes)["postgresql"]["receiver"] = None


def waits_to_receive(nodes: dict[str, Node | None]) -> None:
    secondary(nodes)["postgresql"]["receiver"]["status"] = "waiting"


def follows_another_timeline(nodes: dict[str, Node | None]) -> None:
    """The primary was promoted, and the secondary streams for a moment from the timeline before."""
    worlds.promoted(primary(nodes), parse_lsn(worlds.LSN))


def has_a_fork(nodes: dict[str, Node | None]) -> None:
    """The same, with WAL that the primary never got: it streams, up to where the two parted."""
    worlds.promoted(primary(nodes), 0x3000000)


def stopped_before_a_fork(nodes: dict[str, Node | None]) -> None:
    """The primary is stopped cleanly, as an interrupted switchover leaves it, and the other one has a fork."""
    nodes["node1"] = worlds.promoted(worlds.stopped("node1", "shut down"), 0x3000000)
    receives_nothing(nodes)


def through_another_slot(nodes: dict[str, Node | None]) -> None:
    secondary(nodes)["postgresql"]["receiver"]["slot"] = "somebodys"


def foreign_streamers(nodes: dict[str, Node | None]) -> None:
    primary(nodes)["postgresql"]["senders"] += [
        worlds.sender("postgres", "pg_receivewal", lag=None),
        worlds.sender("barman", "", lag=None),
    ]


def archive(**changed: object) -> Change:
    return lambda nodes: primary(nodes)["postgresql"]["archive"].update(mode="on", **changed)


def secondary_has_the_endpoint(nodes: dict[str, Node | None]) -> None:
    secondary(nodes)["endpoint"]["held"] = True


def primary_lacks_the_endpoint(nodes: dict[str, Node | None]) -> None:
    primary(nodes)["endpoint"]["held"] = False


def other_workload(nodes: dict[str, Node | None]) -> None:
    secondary(nodes)["versions"]["workload"] = "11.0.6"


def parameter_too_small(nodes: dict[str, Node | None]) -> None:
    secondary(nodes)["postgresql"]["settings"]["max_connections"] = "50"
    secondary(nodes)["postgresql"]["control"]["standby_minimums"] = {"max_connections": 100}


def runs_jobs(nodes: dict[str, Node | None]) -> None:
    primary(nodes)["jobs"] = 2


def does_not_say_its_jobs(nodes: dict[str, Node | None]) -> None:
    primary(nodes)["jobs_unknown"] = True


def lets_nobody_in(nodes: dict[str, Node | None]) -> None:
    problem = "The local PostgreSQL does not answer: FATAL:  sorry, too many clients already"
    primary(nodes)["postgresql"].update(accepting=False, problem=problem)


SECOND_WRITER = worlds.primary("node2", "node1")

# (world, words that the one sentence must hold: the node, what was found, what is needed or done)


def nearly_full(nodes: dict[str, Node | None]) -> None:
    secondary(nodes)["postgresql"]["free_bytes"] = 511 * MIB


def clock(ahead_s: float) -> Change:
    def change(nodes: dict[str, Node | None]) -> None:
        secondary(nodes)["postgresql"]["receiver"]["clock_s"] = ahead_s

    return change
