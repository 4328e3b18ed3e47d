# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One operation at a time: the record on disk, its lease, and who may take whose place."""

from __future__ import annotations

import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _operation
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._operation import (
    LEASE_S,
    advance,
    begin,
    boot_id,
    end,
    is_left_over,
    kept_alive,
    read_operation,
    renew,
)

OURS, THEIRS = "duet-1", "duet-2"
CONTROLLER = "control:b1946ac9:4242"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "operation.json"


def start(path: Path, identity: str = OURS, dead: list[str] | None = None) -> dict[str, Any] | None:
    return begin(identity, "switchover", "root@control", CONTROLLER, dead or [], target="node2", path=path)


def rewrite(path: Path, **changes: Any) -> None:
    """Change the record as time, a reboot or a broken disk would."""
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def power_cut(*_paths: object) -> None:
    raise OSError("power cut")


def test_there_is_none_at_first(path: Path) -> None:
    assert read_operation(path) is None
    assert end(OURS, path) is False
    renew(path)
    assert not path.exists()


def test_a_record_says_who_does_what_since_when(path: Path) -> None:
    before = time.time()
    assert start(path) is None
    record = read_operation(path)
    assert record is not None
    assert before <= record.pop("started") == record.pop("renewed") <= time.time()
    assert 0 <= record.pop("age_s") < 5
    assert record == {
        "id": OURS,
        "kind": "switchover",
        "target": "node2",
        "step": "",
        "by": "root@control",
        "controller": CONTROLLER,
        "boot": boot_id(),
    }


def test_only_its_own_operation_ends_it(path: Path) -> None:
    start(path)
    assert end(THEIRS, path) is False
    assert read_operation(path)
    assert end(OURS, path) is True
    assert read_operation(path) is None
    assert end(OURS, path) is False


def test_another_operation_is_refused_while_one_runs(path: Path) -> None:
    start(path)
    written = path.read_text(encoding="utf-8")
    with pytest.raises(RefusedError) as refused:
        start(path, THEIRS)
    assert path.read_text(encoding="utf-8") == written
    (reason,) = refused.value.reasons
    for words in ("'switchover'", "root@control", "last sign of life 0 s ago", "in 60 s"):
        assert words in reason
    assert refused.value.details["operation"]["controller"] == CONTROLLER


def test_the_same_operation_may_begin_again_and_keeps_its_start(path: Path) -> None:
    start(path)
    rewrite(path, started=1000.0, renewed=time.time() - 30)
    assert start(path) is None
    record = read_operation(path)
    assert record and record["started"] == 1000.0
    assert record["age_s"] < 5


def left_over(path: Path, **changes: Any) -> dict[str, Any] | None:
    start(path)
    rewrite(path, **changes)
    return start(path, THEIRS)


def test_a_lease_that_has_run_out_gives_way(path: Path) -> None:
    previous = left_over(path, renewed=time.time() - LEASE_S - 1)
    assert previous and previous["id"] == OURS
    record = read_operation(path)
    assert record and record["id"] == THEIRS
    assert record["started"] == record["renewed"]


def test_a_record_from_before_a_reboot_gives_way(path: Path) -> None:
    assert left_over(path, boot="another boot")


def test_a_record_of_a_dead_controller_gives_way_at_once(path: Path) -> None:
    start(path)
    previous = start(path, THEIRS, dead=[CONTROLLER])
    assert previous and previous["id"] == OURS


def test_other_dead_controllers_say_nothing(path: Path) -> None:
    start(path)
    with pytest.raises(RefusedError):
        start(path, THEIRS, dead=["control:b1946ac9:4243"])


@pytest.mark.parametrize(
    ("age", "boot", "dead", "left"),
    [
        (0.0, "here", [], False),
        (LEASE_S, "here", [], False),
        (LEASE_S + 0.1, "here", [], True),
        (-LEASE_S, "here", [], False),
        (-7200.0, "here", [], True),
        (0.0, "before", [], True),
        (0.0, "here", [CONTROLLER], True),
        (0.0, "here", ["other"], False),
    ],
)
def test_left_over(age: float, boot: str, dead: list[str], left: bool) -> None:
    record = {"renewed": 1000.0, "boot": "here", "controller": CONTROLLER}
    assert is_left_over(record, 1000.0 + age, boot, dead) is left


def test_a_long_step_extends_the_lease(path: Path) -> None:
    start(path)
    rewrite(path, started=1000.0, renewed=time.time() - LEASE_S + 5)
    renew(path)
    record = read_operation(path)
    assert record and record["age_s"] < 5
    assert record["started"] == 1000.0
    assert "age_s" not in json.loads(path.read_text(encoding="utf-8"))


def test_a_lease_is_kept_alive_meanwhile_and_not_longer(path: Path) -> None:
    start(path)
    with kept_alive(path, every_s=0.01):
        rewrite(path, renewed=1000.0)
        deadline = time.monotonic() + 10
        while json.loads(path.read_text(encoding="utf-8"))["renewed"] == 1000.0:
            assert time.monotonic() < deadline, "nobody renewed it"
            time.sleep(0.01)
        path.parent.joinpath(path.name).write_text("{", encoding="utf-8")  # what can't be renewed ends nothing
        time.sleep(0.05)
    rewritten = {"id": OURS, "renewed": 1000.0}
    path.write_text(json.dumps(rewritten), encoding="utf-8")
    time.sleep(0.05)
    assert json.loads(path.read_text(encoding="utf-8")) == rewritten


@pytest.mark.parametrize("text", ["", "{", "no JSON", "{}", "[]", "null", '{"id": "x", "kind": "switchover"}'])
def test_an_unreadable_record_can_be_judged_and_gives_way(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    record = read_operation(path)
    assert record and record["kind"] == "unreadable"
    assert record["age_s"] > LEASE_S
    renew(path)
    path.write_text(text, encoding="utf-8")
    assert start(path, THEIRS) == record | {"age_s": pytest.approx(record["age_s"], abs=60)}


def test_the_record_is_never_half_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut between write and rename leaves the old record."""
    start(path)
    written = path.read_text(encoding="utf-8")
    monkeypatch.setattr("os.replace", power_cut)
    with pytest.raises(OSError, match="power cut"):
        renew(path)
    assert path.read_text(encoding="utf-8") == written


def try_to_begin(path: Path, number: int) -> str:
    """One of several control nodes that start at the same moment."""
    try:
        _operation.begin(f"duet-{number}", "switchover", f"root@control{number}", "", [], path=path)
    except RefusedError:
        return "refused"
    return "began"


def test_of_several_at_once_exactly_one_begins(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        answers = list(pool.map(try_to_begin, [path] * 12, range(12)))
    assert sorted(answers) == ["began", *["refused"] * 11]


def test_a_record_says_what_the_node_does_now(path: Path) -> None:
    start(path)
    rewrite(path, renewed=1.0)
    advance("stop_primary", path)
    record = read_operation(path)
    assert record is not None
    assert (record["step"], record["id"], record["age_s"] < 5) == ("stop_primary", OURS, True)
    start(path)  # its next task renews the record, and forgets nothing
    assert (read_operation(path) or {})["step"] == "stop_primary"
    start(path, THEIRS, dead=[CONTROLLER])  # the same again goes on where that one stopped
    assert (read_operation(path) or {})["step"] == "stop_primary"
    begin("duet-3", "assemble", "root@control", CONTROLLER, [CONTROLLER], path=path)
    assert (read_operation(path) or {})["step"] == ""


def test_without_an_operation_nothing_is_written_down(path: Path) -> None:
    advance("stop_primary", path)
    assert not path.exists()
    path.parent.mkdir()
    path.write_text("half a rec", encoding="utf-8")
    advance("stop_primary", path)
    assert path.read_text(encoding="utf-8") == "half a rec"


def test_a_power_cut_leaves_the_step_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(path)
    advance("checkpoint", path)
    monkeypatch.setattr("os.replace", power_cut)
    with pytest.raises(OSError, match="power cut"):
        advance("stop_primary", path)
    assert (read_operation(path) or {})["step"] == "checkpoint"


def renew_until_it_ends(path: Path) -> None:
    deadline = time.monotonic() + 20
    while path.exists() and time.monotonic() < deadline:
        renew(path)


def test_a_renewal_never_brings_an_ended_operation_back(path: Path) -> None:
    """A copy renews the record while a task of the same operation writes it, and ends it."""
    start(path)
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("fork")) as pool:
        renewing = [pool.submit(renew_until_it_ends, path) for _number in range(3)]
        for step in range(100):
            advance(f"step {step}", path)
        assert end(OURS, path)
        for done in renewing:
            done.result(timeout=30)
    assert not path.exists()
