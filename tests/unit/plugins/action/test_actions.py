# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on the control node around the modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.duet.backup_ha.plugins.action import (
    clock_offset,
    clone,
    cluster_status,
    failover,
    operation,
)
from ansible_collections.duet.backup_ha.plugins.action.clone import progress_line
from ansible_collections.duet.backup_ha.plugins.module_utils._operation import is_dead
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds

Action = TypeVar("Action", bound=ActionBase)


def action(plugin: type[Action], /, **arguments: Any) -> Action:
    """An action as the executor makes it, for a task with these arguments."""
    task: Any = SimpleNamespace(args=arguments, async_val=0, check_mode=False, action="any", delegate_to=None)
    context: Any = SimpleNamespace(no_log=False)
    connection: Any = SimpleNamespace(
        _shell=SimpleNamespace(tmpdir="/nowhere"), _play_context=SimpleNamespace(no_log=False)
    )
    unused: Any = None
    return plugin(task, connection, context, unused, unused, None)


GIB = 2**30


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "line"),
    [
        (0, GIB, 1.0, "node2: copied 0 B of 1.0 GiB (0 %)"),
        (GIB // 2, GIB, 10.0, "node2: copied 512.0 MiB of 1.0 GiB (50 %), about 10 s left"),
        (GIB, GIB, 20.0, "node2: copied 1.0 GiB of 1.0 GiB (100 %)"),
        (GIB + 4096, GIB, 20.0, "node2: copied 1.0 GiB of 1.0 GiB (100 %)"),
        (0, 0, 1.0, "node2: copied 0 B of 0 B (0 %)"),
    ],
)
def test_progress(done: int, total: int, elapsed: float, line: str) -> None:
    assert progress_line("node2", done, total, elapsed) == line


class Looks(clone.ActionModule):
    """The action on a node that answers with these words, one after the other."""

    answers: list[str]
    module: dict[str, Any]

    def _execute_module(self, *_arguments: Any, **_options: Any) -> dict[str, Any]:
        return self.module

    def _low_level_execute_command(self, *_arguments: Any, **_options: Any) -> dict[str, Any]:
        return {"stdout": self.answers.pop(0)}


COPYING = 'active\n{"state": "copying", "done_bytes": 1, "total_bytes": 2}'
DONE = 'inactive\n{"state": "done", "steps": ["copy"]}'


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["active\n", COPYING, DONE], {"changed": True, "steps": ["copy"]}),
        ([COPYING, "inactive\n", DONE], {"changed": True}),
        ([COPYING, 'failed\n{"state": "failed", "message": "No space."}'], {"failed": True, "msg": "No space."}),
        (["active\n", "inactive\n", "inactive\n"], {"failed": True}),
        (["active\n", "active\n", "failed\n", "failed\n"], {"failed": True}),
    ],
)
def test_a_copy_is_awaited(monkeypatch: pytest.MonkeyPatch, answers: list[str], expected: dict[str, Any]) -> None:
    monkeypatch.setattr(clone, "PAUSE_S", 0.0)
    watching = action(Looks, job="backup-ha-clone.service")
    watching.answers = answers
    result = watching.run(task_vars={"inventory_hostname": "node2"})
    assert {key: result.get(key) for key in expected} == expected
    assert not answers


def test_whoever_waits_for_a_copy_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(clone, "PAUSE_S", 0.0)
    monkeypatch.setattr(clone, "SHOWN_EVERY_S", 0.0)
    monkeypatch.setattr(Display, "display", lambda _self, line, *_rest, **_options: shown.append(line))
    watching = action(Looks, job="backup-ha-clone.service")
    watching.answers = ["active\n", COPYING, DONE]
    watching.run(task_vars={"inventory_hostname": "node2"})
    assert [line.partition(",")[0] for line in shown] == ["node2: copied 1 B of 2 B (50 %)"]


@pytest.mark.parametrize(
    ("arguments", "begun"),
    [
        ({"background": True}, {"changed": True, "job": "backup-ha-clone.service", "steps": ["copy"]}),
        ({}, {"changed": False, "job": "", "steps": []}),
        ({}, {"failed": True, "msg": "No primary."}),
    ],
)
def test_nothing_is_awaited(arguments: dict[str, Any], begun: dict[str, Any]) -> None:
    beginning = action(Looks, **arguments)
    beginning.answers, beginning.module = [], begun
    assert beginning.run(task_vars={}) | begun == beginning.run(task_vars={})


OURS = operation.controller_identity()
PLACE = OURS.rpartition(":")[0]


def ended_process() -> int:
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


@pytest.mark.parametrize(
    ("controller", "dead"),
    [
        pytest.param(f"{PLACE}:{ended_process()}", True, id="a process that has ended"),
        pytest.param(f"{PLACE}:{os.getpid()}", False, id="a process that runs"),
        pytest.param(f"elsewhere:{PLACE.partition(':')[2]}:{ended_process()}", False, id="another host"),
        pytest.param(f"{PLACE.partition(':')[0]}:another-boot:{ended_process()}", False, id="another boot"),
        pytest.param(f"{PLACE}:", False, id="no process"),
        pytest.param(f"{PLACE}:x", False, id="no number"),
        pytest.param("", False, id="unknown"),
    ],
)
def test_whether_a_controller_is_known_to_be_dead(controller: str, dead: bool) -> None:
    assert is_dead(controller) is dead


class Node:
    """A node on which an operation is recorded; it gives way only to who knows that its controller is dead."""

    def __init__(self, controller: str) -> None:
        self.record = {**worlds.operation(), "controller": controller}
        self.asked: list[dict[str, Any]] = []

    def execute(self, module_args: dict[str, Any], **_options: Any) -> dict[str, Any]:
        self.asked.append(dict(module_args))
        if self.record["controller"] in module_args.get("dead_controllers", []):
            return {"changed": True, "left_over": self.record}
        return {"failed": True, "msg": "Another operation is running.", "operation": self.record}


def begin(monkeypatch: pytest.MonkeyPatch, node: Node) -> dict[str, Any]:
    one = action(operation.ActionModule, state="begun", id="duet-1", kind="switchover")
    monkeypatch.setattr(one, "_execute_module", node.execute)
    result: dict[str, Any] = one.run(task_vars={})
    return result


def test_an_operation_takes_the_place_of_one_whose_controller_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(f"{PLACE}:{ended_process()}")
    assert begin(monkeypatch, node)["left_over"] == node.record
    assert [asked.get("dead_controllers") for asked in node.asked] == [None, [node.record["controller"]]]


@pytest.mark.parametrize(
    "controller", [f"{PLACE}:{os.getpid()}", "elsewhere:boot:1", ""], ids=["alive", "elsewhere", "unknown"]
)
def test_an_operation_whose_controller_may_live_is_not_disturbed(
    monkeypatch: pytest.MonkeyPatch, controller: str
) -> None:
    node = Node(controller)
    assert begin(monkeypatch, node)["failed"] is True
    assert len(node.asked) == 1


def test_the_node_learns_who_runs_the_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node("elsewhere:boot:1")
    begin(monkeypatch, node)
    (asked,) = node.asked
    assert asked["controller"] == OURS
    assert asked["by"].partition("@")[0] and asked["by"].partition("@")[2] == OURS.partition(":")[0]
    assert (asked["id"], asked["kind"]) == ("duet-1", "switchover")


def read_clock(monkeypatch: pytest.MonkeyPatch, *readings: tuple[float, str, float]) -> dict[str, Any]:
    """Each reading: when the question left, what the server said, when the answer came."""
    one = action(clock_offset.ActionModule)
    times = [time for before, _said, after in readings for time in (before, after)]
    said = [text for _before, text, _after in readings]
    monkeypatch.setattr(clock_offset, "time", SimpleNamespace(time=lambda: times.pop(0)))
    monkeypatch.setattr(one, "_low_level_execute_command", lambda *_arguments, **_options: {"stdout": said.pop(0)})
    result: dict[str, Any] = one.run(task_vars={})
    return result


def test_the_offset_is_measured_against_the_middle_of_the_shortest_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    result = read_clock(monkeypatch, (100.0, "105.900\n", 101.8), (200.0, "205.05\n", 200.1), (300.0, "305.4\n", 300.9))
    assert (result["offset_s"], result["error_s"]) == (pytest.approx(5.0), pytest.approx(0.05))
    assert result["changed"] is False


def test_one_good_reading_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    result = read_clock(monkeypatch, (1.0, "", 1.1), (2.0, "-3.0", 2.2), (3.0, "date: error", 3.1))
    assert result["offset_s"] == pytest.approx(-5.1)


def test_without_a_reading_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    result = read_clock(monkeypatch, *[(1.0, "no date", 1.1)] * 3)
    assert result["failed"] is True
    assert "'date +%s.%N' gave no time" in result["msg"]


def show(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> tuple[dict[str, Any], str]:
    lines: list[str] = []
    monkeypatch.setattr(Display, "display", lambda _self, text, **_options: lines.append(text))
    result: dict[str, Any] = action(cluster_status.ActionModule, **arguments).run(task_vars={})
    return result, "\n".join(lines)


CLUSTERS = {"vault": {"node3": {}, "node4": {}}, "duet": worlds.pair()}


def test_the_status_of_all_clusters_as_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    result, text = show(monkeypatch, clusters=CLUSTERS)
    assert text.index("Cluster duet: HEALTHY") < text.index("Cluster vault: UNKNOWN")
    assert "node3  no answer" in text
    assert "vault is unknown" in str(result)
    assert "duet is" not in str(result.get("answer", result.get("msg")))


def test_the_status_of_all_clusters_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    result, text = show(monkeypatch, clusters=CLUSTERS, output="json")
    document = json.loads(text)
    assert [(cluster["cluster"], cluster["verdict"]) for cluster in document["clusters"]] == [
        ("duet", "healthy"),
        ("vault", "unknown"),
    ]
    assert document["clusters"][0]["nodes"]["node1"]["role"] == "primary"
    assert result["clusters"] == document["clusters"]


@pytest.mark.parametrize(("clusters", "healthy"), [({"duet": worlds.pair()}, True), (CLUSTERS, False)])
def test_healthy_is_only_what_is_healthy_altogether(
    monkeypatch: pytest.MonkeyPatch, clusters: dict[str, Any], healthy: bool
) -> None:
    result, _text = show(monkeypatch, clusters=clusters)
    assert result["healthy"] is healthy


@pytest.mark.parametrize(
    ("address", "control"),
    [("198.18.0.11", {"port": "refused", "endpoint_port": "silent"}), ("", None)],
    ids=["with addresses", "without"],
)
def test_a_failover_gets_what_the_control_node_sees(
    monkeypatch: pytest.MonkeyPatch, address: str, control: dict[str, str] | None
) -> None:
    asked: list[Any] = []
    passed: list[dict[str, Any]] = []

    def ask(*where: Any) -> dict[str, str]:
        asked.append(where)
        return {"port": "refused", "endpoint_port": "silent"}

    def execute(_action: object, module_args: dict[str, Any], task_vars: object) -> dict[str, Any]:
        passed.append(module_args)
        return {"outcome": "done", "vars": task_vars}

    monkeypatch.setattr(failover, "ask_from_control_node", ask)
    monkeypatch.setattr(failover.ActionModule, "_execute_module", execute)
    arguments = {"primary_address": address, "endpoint_address": "198.18.0.10", "primary_is_off": True}
    result = action(failover.ActionModule, **arguments).run(task_vars={})
    assert result["outcome"] == "done"
    assert passed[0].get("control") == control and passed[0]["primary_is_off"] is True and "@" in passed[0]["who"]
    assert asked == ([("198.18.0.11", "198.18.0.10", 5432)] if control else [])


def test_status_loads_no_driver_on_the_control_node() -> None:
    """It is the longest part of what would be loaded, and looks at nothing there."""
    names = [f"{parent}.{name}" for parent, name in (("action", "cluster_status"), ("filter", "clusters"))]
    imports = "; ".join(f"import ansible_collections.duet.backup_ha.plugins.{name}" for name in names)
    code = f"import sys; {imports}; print('psycopg' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) == "False\n"
