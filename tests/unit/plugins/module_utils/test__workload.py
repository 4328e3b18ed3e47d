"""The workload is asked on the node itself, and what it says becomes one sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Workload
from ansible_collections.duet.backup_ha.plugins.module_utils._workload import ask_workload
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG


@pytest.mark.parametrize(
    ("probe", "answer"),
    [
        ((), ""),
        (("true",), ""),
        (("sh", "-c", "echo fine; echo warning >&2"), ""),
        (("sh", "-c", "echo; echo no catalog >&2; exit 1"), "bacula on node1 does not work: no catalog"),
        (("sh", "-c", "echo gone; exit 7"), "bacula on node1 does not work: gone"),
        (("false",), "bacula on node1 does not work: its probe ended with 1."),
        (("/no/such/file",), "The probe of bacula on node1 can't be run: [Errno 2] No such file"),
        (("sleep", "5"), "The probe of bacula on node1 did not end within 0 s."),
    ],
)
def test_what_the_probe_says(probe: tuple[str, ...], answer: str) -> None:
    config = replace(CONFIG, workload=Workload("bacula", probe=probe))
    said = ask_workload(config, limit_s=0.3)
    assert said.startswith(answer) and bool(said) == bool(answer), said
