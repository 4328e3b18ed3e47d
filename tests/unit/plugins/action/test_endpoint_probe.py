"""The proof from outside fails when the endpoint or the workload does, and keeps its password to itself."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.action import endpoint_probe
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.tests.unit.plugins.action.test_actions import action

TICKET = {"port": 5433, "password": "secret", "timeline": 3, "ca_certificate": "PEM", "workload": "", "waiting": ""}


class Proof(endpoint_probe.ActionModule):
    """The action on a primary that gives this ticket."""

    ticket: dict[str, Any]

    def _execute_module(self, *_arguments: Any, **_options: Any) -> dict[str, Any]:
        # With -vvv a connection prints what a module returns.
        assert self._play_context.no_log and self._connection._play_context.no_log
        return self.ticket


def prove(monkeypatch: pytest.MonkeyPatch, ticket: dict[str, Any], problem: str = "") -> dict[str, Any]:
    def probe(**wanted: Any) -> dict[str, Any]:
        assert (wanted["password"], wanted["timeline"]) == ("secret", 3)
        assert (wanted["address"], wanted["port"]) == ("192.0.2.10", 5433)
        if problem:
            raise BackupHaError(problem)
        return {"timeline": 3, "attempts": 1}

    monkeypatch.setattr(endpoint_probe, "probe_endpoint", probe)
    proof = action(Proof, address="192.0.2.10")
    proof.ticket = ticket
    result = proof.run(task_vars={})
    assert "secret" not in str(result)
    assert not proof._play_context.no_log and not proof._connection._play_context.no_log
    return result


def test_both_work(monkeypatch: pytest.MonkeyPatch) -> None:
    result = prove(monkeypatch, TICKET)
    assert (result["changed"], result["timeline"], result.get("failed")) == (False, 3, None)


def test_commits_that_wait_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    result = prove(monkeypatch, {**TICKET, "waiting": "Commits wait until node2 is back."})
    assert (result["waiting"], result.get("failed")) == ("Commits wait until node2 is back.", None)


@pytest.mark.parametrize(
    ("ticket", "problem"),
    [(TICKET, "The endpoint leads nowhere."), ({**TICKET, "workload": "bacula on node1 does not work: gone"}, "")],
)
def test_one_does_not_work(monkeypatch: pytest.MonkeyPatch, ticket: dict[str, Any], problem: str) -> None:
    result = prove(monkeypatch, ticket, problem)
    assert result["failed"] and result["reasons"] == [result["msg"]] == [problem or ticket["workload"]]


def test_no_ticket_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"failed": True, "msg": "The local PostgreSQL does not answer."}
    assert prove(monkeypatch, failed)["msg"] == failed["msg"]
