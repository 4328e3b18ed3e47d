# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module ends: one place for sentences, whatever went wrong."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import (
    BackupHaError,
    BusyError,
    DeadlineError,
    InDoubtError,
    RefusedError,
    RolledBackError,
    UnreachableError,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module


class Ended(Exception):  # noqa: N818 an end is no error
    """A module's process ends with either call, and does nothing after it."""


class Module:
    """AnsibleModule's two ways to end."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}

    def exit_json(self, **result: Any) -> None:
        self.result = result
        raise Ended

    def fail_json(self, **result: Any) -> None:
        self.result = {"failed": True, **result}
        raise Ended


def ended(body: Any) -> dict[str, Any]:
    module = Module()
    with pytest.raises(Ended):
        run_module(module, body)  # type: ignore[arg-type]
    return module.result


def raising(error: Exception) -> Any:
    def body(_module: object) -> dict[str, Any]:
        raise error

    return body


def test_success_is_what_the_body_returns_and_how_long_it_took() -> None:
    result = ended(lambda _module: {"changed": True, "steps": ["start"]})
    assert 0 <= result.pop("duration") < 5
    assert result == {"changed": True, "steps": ["start"]}


def test_a_refusal_gives_every_reason_in_the_message_and_apart() -> None:
    result = ended(raising(RefusedError("Nothing was changed.", ["One.", "Two."], observed={"role": "primary"})))
    assert result["failed"] is True
    assert result["msg"] == "Nothing was changed. One. Two."
    assert (result["outcome"], result["reasons"]) == ("refused", ["One.", "Two."])
    assert result["observed"] == {"role": "primary"}
    assert "exception" not in result


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (BackupHaError("It broke."), "failed"),
        (DeadlineError("It broke."), "failed"),
        (UnreachableError("It broke."), "failed"),
        (InDoubtError("It broke."), "in_doubt"),
        (RolledBackError("It broke."), "rolled_back"),
    ],
)
def test_a_failure_is_one_sentence_and_says_how_it_ended(error: Exception, outcome: str) -> None:
    result = ended(raising(error))
    assert (result["msg"], result["reasons"], result["outcome"]) == ("It broke.", ["It broke."], outcome)
    assert "It broke." in result["exception"]


def test_what_is_known_of_a_failure_is_told() -> None:
    assert ended(raising(BackupHaError("It broke.", output="line")))["output"] == "line"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_module(Module(), lambda _module: {"changed": 1 // 0})  # type: ignore[arg-type]


def test_who_is_refused_because_another_operation_runs_can_tell() -> None:
    result = ended(raising(BusyError("Another operation is running.", ["It is the switchover."])))
    assert (result["outcome"], result["reasons"]) == ("in_progress", ["It is the switchover."])


def test_a_broken_session_is_a_sentence() -> None:
    psycopg = pytest.importorskip("psycopg")
    result = ended(raising(psycopg.OperationalError("consuming input failed: EOF detected")))
    assert result["msg"].startswith("A session to PostgreSQL broke") and result["reasons"] == [result["msg"]]
