"""Killed at any step, it heals: one writer, nothing acknowledged lost, and the same playbook again is enough."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.watching import Watch, watch_over


@pytest.fixture
def watch(cluster: Cluster, tmp_path: Path) -> Watch:
    return watch_over(cluster, tmp_path)


@pytest.mark.parametrize("moment", [1.5, "Hand over"])
def test_the_control_process_dies_during_a_switchover(watch: Watch, moment: float | str) -> None:
    lab = watch.cluster.lab

    def interrupted() -> None:
        switchover = lab.start("switchover")
        if isinstance(moment, str):
            switchover.await_task(moment)
        else:
            time.sleep(moment)
        switchover.kill()
        lab.play("switchover").check()

    watch.over(interrupted)
