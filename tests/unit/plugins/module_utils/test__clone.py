# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to make a node a copy of the primary: planned from anywhere, never over data without a word."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _clone
from ansible_collections.duet.backup_ha.plugins.module_utils._clone import (
    plan_clone,
    report_progress,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._user_data import holds_user_data
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import OTHER_SYSTEM, SYSTEM

GIB = 2**30
ALL = ["create_slot", "copy", "stop", "swap", "start"]


def local(role: str = "stopped", system: str | None = None, **changed: Any) -> dict[str, Any]:
    """This node as the module sees it; without a system it has no data directory."""
    state = {"primary": "in production", "secondary": "in archive recovery"}.get(role, "shut down in recovery")
    return {
        "role": role,
        "state": state if system else None,
        "copied": False,
        "system_identifier": system,
        "holds_data": system is not None,
        "was_primary": False,
        "leftovers": False,
        "free_bytes": 75 * GIB,
        **changed,
    }


def primary(**changed: Any) -> dict[str, Any]:
    return {"in_recovery": False, "system_identifier": SYSTEM, "size_bytes": GIB, "tablespaces": [], **changed}


# (this node, erase, steps)
PLANS = [
    pytest.param(local(), False, ALL, id="no data directory"),
    pytest.param(local("primary", OTHER_SYSTEM, holds_data=False), False, ALL, id="an empty PostgreSQL of its own"),
    pytest.param(local("secondary", SYSTEM), False, [], id="a standby of this primary"),
    pytest.param(local("stopped", SYSTEM), False, ["start"], id="a stopped standby of this primary"),
    pytest.param(local("stopped", SYSTEM, state="in archive recovery"), False, ["start"], id="a crashed standby"),
    pytest.param(
        local("stopped", SYSTEM, state="in production", copied=True), False, ["start"], id="a copy never started"
    ),
    pytest.param(
        local("stopped", OTHER_SYSTEM, copied=True, holds_data=False), False, ALL, id="a copy of another primary"
    ),
    pytest.param(local("secondary", SYSTEM), True, ALL, id="a standby, and erased by word"),
    pytest.param(local("primary", OTHER_SYSTEM), True, ALL, id="data, and erased by word"),
    pytest.param(local("stopped", SYSTEM, state="shut down"), True, ALL, id="a clone, and erased by word"),
    pytest.param(local("primary", OTHER_SYSTEM, holds_data=False, was_primary=True), False, ALL, id="its data is gone"),
    pytest.param(local("secondary", SYSTEM, leftovers=True), False, ["tidy"], id="a standby beside an old copy"),
    pytest.param(local("stopped", SYSTEM, leftovers=True), False, ["tidy", "start"], id="stopped beside an old copy"),
    pytest.param(local(leftovers=True), False, ALL, id="a half copy and nothing else"),
]


@pytest.mark.parametrize(("node", "erase", "steps"), PLANS)
def test_plans(node: dict[str, Any], erase: bool, steps: list[str]) -> None:
    assert plan_clone(node, primary(), erase) == steps


# (this node, the primary, words of the one reason)
REFUSALS = [
    pytest.param(local(), primary(in_recovery=True), ["no primary to copy"], id="no primary"),
    pytest.param(
        local("primary", OTHER_SYSTEM), primary(), ["databases of its own", "backup_ha_erase_secondary"], id="data"
    ),
    pytest.param(
        local("stopped", OTHER_SYSTEM),
        primary(),
        ["databases of its own", "backup_ha_erase_secondary"],
        id="stopped data",
    ),
    pytest.param(
        local("stopped", SYSTEM, state="shut down"), primary(), ["databases of its own"], id="a stopped writer's data"
    ),
    pytest.param(local("primary", SYSTEM), primary(), ["databases of its own"], id="a writer made from the same image"),
    pytest.param(local(free_bytes=GIB), primary(), ["1.1 GiB are needed", "1.0 GiB are free"], id="no space"),
    pytest.param(local(), primary(tablespaces=["fast", "slow"]), ["(fast, slow)"], id="tablespaces"),
]


@pytest.mark.parametrize(("node", "other", "words"), REFUSALS)
def test_refusals(node: dict[str, Any], other: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RefusedError) as refused:
        plan_clone(node, other, erase=False)
    (reason,) = refused.value.reasons
    assert [word for word in words if word not in reason] == []


def test_every_reason_is_told_at_once() -> None:
    with pytest.raises(RefusedError) as refused:
        plan_clone(local("stopped", OTHER_SYSTEM, free_bytes=0), primary(tablespaces=["fast"]), erase=False)
    assert len(refused.value.reasons) == 3


@pytest.mark.parametrize("erase", [False, True])
@pytest.mark.parametrize("system", [SYSTEM, OTHER_SYSTEM])
@pytest.mark.parametrize("role", ["primary", "stopped"])
def test_no_word_replaces_the_data_of_a_primary(role: str, system: str, erase: bool) -> None:
    node = local(role, system, state="in production", was_primary=True)
    with pytest.raises(RefusedError) as refused:
        plan_clone(node, primary(), erase)
    (reason,) = refused.value.reasons
    assert "is or was the cluster's primary" in reason and "duet.backup_ha.rejoin" in reason


@pytest.mark.parametrize(("spare", "allowed"), [(0, True), (-1, False)])
def test_the_copy_needs_its_size_and_a_margin(spare: int, allowed: bool) -> None:
    node = local(free_bytes=int(GIB * 1.05) + 64 * 2**20 + spare)
    if allowed:
        assert plan_clone(node, primary(), erase=False) == ALL
    else:
        with pytest.raises(RefusedError):
            plan_clone(node, primary(), erase=False)


def test_data_is_never_copied_over_without_a_word() -> None:
    states = ("in production", "shut down", "in archive recovery", "shut down in recovery", "in crash recovery")
    for role, state, system, erase in product(
        ("primary", "secondary", "stopped"), states, (SYSTEM, OTHER_SYSTEM), (False, True)
    ):
        try:
            steps = plan_clone(local(role, system, state=state), primary(), erase)
        except RefusedError:
            continue
        assert erase or "swap" not in steps


@dataclass
class World:
    """A node while it becomes a copy; every step leaves what a kill right after it would leave."""

    node: dict[str, Any] = field(default_factory=local)
    incoming: bool = False
    slot: bool = False

    def apply(self, step: str) -> None:
        if step == "create_slot":
            self.slot = True
        elif step == "copy":
            assert self.slot, "nothing keeps the WAL that the copy needs"
            self.incoming = True
        elif step == "stop":
            assert self.incoming, "stopped before there was something to put in place"
            self.node.update(role="stopped")
        elif step == "swap":
            assert self.incoming and self.node["role"] == "stopped"
            # pg_basebackup copies the primary's control file, and leaves a backup_label until the first start.
            self.node = local("stopped", SYSTEM, state="in production", copied=True)
            self.incoming = False
        elif step == "start":
            assert self.node["system_identifier"] == SYSTEM
            self.node = local("secondary", SYSTEM)


@pytest.mark.parametrize("begin", [local(), local("primary", OTHER_SYSTEM, holds_data=False)], ids=["blank", "empty"])
@pytest.mark.parametrize("done", range(len(ALL) + 1))
def test_an_interrupted_copy_is_finished_by_running_it_again(begin: dict[str, Any], done: int) -> None:
    world = World(dict(begin))
    for step in ALL[:done]:
        world.apply(step)
    rest = plan_clone(world.node, primary(), erase=False)
    assert rest == {len(ALL): [], len(ALL) - 1: ["start"]}.get(done, ALL)
    for step in rest:
        world.apply(step)
    assert plan_clone(world.node, primary(), erase=False) == []


def directory(tmp_path: Path, *names: str) -> str:
    (tmp_path / "base").mkdir()
    for name in names:
        path = tmp_path / "base" / name
        path.parent.mkdir(exist_ok=True)
        path.touch() if "/" in name else path.mkdir()
    return str(tmp_path)


@pytest.mark.parametrize(
    ("names", "holds"),
    [
        pytest.param([], False, id="no database"),
        pytest.param(
            ["1", "4", "5", "5/1259", "5/2619_fsm", "5/PG_VERSION", "5/pg_filenode.map"],
            False,
            id="as initdb leaves it",
        ),
        pytest.param(["5", "5/16383"], False, id="the last number of initdb"),
        pytest.param(["5", "5/16384"], True, id="a table in postgres"),
        pytest.param(["5", "5/16385_vm"], True, id="a table's map"),
        pytest.param(["5", "16384"], True, id="a database"),
        pytest.param(["5", "5/t3_16385"], False, id="a temporary table that a crash left"),
        pytest.param(["pgsql_tmp", "pgsql_tmp/pgsql_tmp99999.0"], False, id="temporary files"),
    ],
)
def test_whether_somebody_made_something(tmp_path: Path, names: list[str], holds: bool) -> None:
    assert holds_user_data(directory(tmp_path, *names)) is holds


def test_a_tablespace_counts_although_its_files_are_elsewhere(tmp_path: Path) -> None:
    data = directory(tmp_path, "1", "5", "5/1259")
    (tmp_path / "pg_tblspc").mkdir()
    assert holds_user_data(data) is False
    (tmp_path / "pg_tblspc" / "16400").symlink_to("/srv/fast")
    assert holds_user_data(data) is True


def test_without_a_data_directory_there_is_no_data(tmp_path: Path) -> None:
    assert holds_user_data(str(tmp_path / "missing")) is False


@pytest.fixture
def progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the progress is stored; the lease of the operation is renewed in vain."""
    monkeypatch.setattr(_clone, "PROGRESS_PATH", tmp_path / "run" / "clone.json")
    monkeypatch.setattr(_clone, "renew", (tmp_path / "renewed").touch)
    return tmp_path / "run" / "clone.json"


@pytest.mark.parametrize(
    ("line", "done", "total"),
    [
        (" 262144/1048576 kB (25%), 0/1 tablespace", 2**28, GIB),
        ("1048576/1048576 kB (100%), 1/1 tablespace\n", GIB, GIB),
        ("      0/1048576 kB (0%), 0/1 tablespace (/var/lib/postgresql/15/main.incoming   )", 0, GIB),
    ],
)
def test_progress_is_stored(progress: Path, line: str, done: int, total: int) -> None:
    assert report_progress(line, now=1000.0) is True
    assert json.loads(progress.read_text(encoding="ascii")) == {
        "state": "copying",
        "done_bytes": done,
        "total_bytes": total,
        "time": 1000.0,
    }
    assert (progress.parents[1] / "renewed").exists()


@pytest.mark.parametrize("line", ["waiting for checkpoint", "pg_basebackup: error: connection failed", ""])
def test_other_lines_are_no_progress(progress: Path, line: str) -> None:
    assert report_progress(line, now=1000.0) is False
    assert not progress.exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BackupHaError("No space."), "No space."),
        (OSError("No space."), "No space."),
        (RefusedError("Nothing was changed.", ["No primary."]), "Nothing was changed. No primary."),
    ],
)
def test_how_a_copy_failed_is_stored(
    progress: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(*_arguments: object) -> list[str]:
        raise error

    monkeypatch.setattr(_clone, "LOCK_PATH", progress.with_name("clone.lock"))
    monkeypatch.setattr(_clone, "plan", fail)
    with pytest.raises(type(error)):
        _clone.run_and_report(CONFIG, erase=False, timeout=1)
    assert json.loads(progress.read_text(encoding="ascii")) == {"state": "failed", "message": message}


@pytest.mark.parametrize("steps", [[], ["start"]])
def test_that_a_copy_is_done_is_stored(progress: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str]) -> None:
    carried_out: list[list[str]] = []
    monkeypatch.setattr(_clone, "LOCK_PATH", progress.with_name("clone.lock"))
    monkeypatch.setattr(_clone, "plan", lambda *_arguments: steps)
    monkeypatch.setattr(_clone, "clone", lambda _config, these, _timeout: carried_out.append(these))
    assert _clone.run_and_report(CONFIG, erase=False, timeout=1) == steps
    assert carried_out == ([steps] if steps else [])
    assert json.loads(progress.read_text(encoding="ascii")) == {"state": "done", "steps": steps}
