"""A fence makes sure that a silent primary is off, or the failover is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import Lab, within
from tests.scenarios.taking_over import (
    DONE,
    HISTORY,
    NOT_DONE,
    failover,
    never_writes,
    refused,
    serves,
    sure,
    take_back,
)

pytestmark = pytest.mark.usefixtures("by_hand")


@contextmanager
def fence(lab: Lab, node: str, **settings: Any) -> Iterator[None]:
    """A node has a fence, as the node role writes it."""
    path = "/etc/backup-ha/fence.json"
    lab.sh(node, f"umask 077; cat > {path} <<'JSON'\n{json.dumps(settings)}\nJSON")
    try:
        yield
    finally:
        lab.sh(node, f"rm -f {path} /tmp/fence-*")


def test_a_failed_fence_refuses_and_tells_no_secret(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    agent = "#!/bin/sh\ntee /tmp/fence-input\necho 'login failed: password=s3cret' >&2\nexit 1\n"
    lab.sh(new, f"cat > /usr/sbin/fence_scenario <<'AGENT'\n{agent}AGENT\nchmod 755 /usr/sbin/fence_scenario")
    with fence(lab, new, agent="fence_scenario", parameters={"ip": "192.0.2.1", "password": "s3cret"}):
        lab.power_off(old)
        answer = failover(lab, new, "--yes")
        assert answer.code == NOT_DONE and "fence_scenario did not switch" in answer.said, answer
        assert "exit code 1" in answer.said and "s3cret" not in answer.said, answer
        told = lab.sh(new, "cat /tmp/fence-input")
        assert told.splitlines() == ["action=off", "ip=192.0.2.1", "password=s3cret"]
        assert lab.writers([new]) == []
    with fence(lab, new, command=["sleep", "60"], timeout=2):
        assert "did not end within 2 s" in failover(lab, new, "--yes").said
        assert lab.writers([new]) == []
    lab.power_on(old)
    cluster.settle(old)


def test_a_fence_ends_a_primary_that_hangs(cluster: Cluster) -> None:
    """Its kernel still answers for everything, so nobody's word counts; the fence switches it off."""
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    lab.podman("pause", old)
    assert "It could be a primary that hangs" in refused(lab, new, "--yes", "--primary-is-off")
    script = "echo $BACKUP_HA_NODE > /tmp/fence-asked; until test -e /tmp/fence-off; do sleep 0.1; done"
    with fence(lab, new, command=["sh", "-c", script], timeout=20):
        command = lab.spawn(new, "timeout 60 backup-ha failover --yes > /tmp/fence-said 2>&1")
        assert within(10, lambda: lab.sh(new, "cat /tmp/fence-asked", check=False), "the fence runs") == old
        assert lab.writers([new]) == []
        lab.power_off(old)
        lab.sh(new, "touch /tmp/fence-off")
        assert command.wait(30) == DONE, lab.sh(new, "cat /tmp/fence-said")
    serves(lab, new)
    assert f"The fence reported that {old} is off" in lab.sql(new, HISTORY, "backup_ha")
    lab.power_on(old)
    never_writes(lab, old)
    take_back(lab, new, old)
    cluster.settle(new)


AGENT = "apt-get install --quiet --yes --no-install-recommends fence-agents"
STATUS = "/var/lib/fence-scenario"


def with_dummy(**parameters: str) -> tuple[str, ...]:
    """An assembly with the agent of the package, whose machine is on or off as a file says."""
    fence = {"agent": "fence_dummy", "parameters": {"status_file": STATUS, **parameters}}
    return "-e", json.dumps({"backup_ha_fence": fence})


@pytest.fixture(scope="module")
def dummy(lab: Lab) -> Iterator[None]:
    yield
    lab.play("assemble").check()


@pytest.mark.later
@pytest.mark.usefixtures("dummy")
def test_an_agent_of_the_distribution_in_both_ways_of_failing_over(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    for node in (old, new):
        lab.sh(node, f"{AGENT}; printf on > {STATUS}", timeout=240)
    lab.play("assemble", *with_dummy(type="fail", plug="1", power_timeout="1")).check()
    lab.power_off(old)
    answer = failover(lab, new, "--yes")
    assert answer.code == NOT_DONE and "The fence fence_dummy did not switch" in answer.said, answer
    outcome = lab.play("failover", "-e", f"backup_ha_failover_confirmed={old}")
    assert outcome.code != 0 and "The fence fence_dummy did not switch" in outcome.said, outcome
    assert ": refused." in outcome.said and lab.writers([new]) == [], outcome
    lab.power_on(old)
    cluster.settle(old)

    lab.play("assemble", *with_dummy()).check()
    lab.power_off(old)
    assert failover(lab, new, "--yes").code == DONE
    serves(lab, new)
    assert lab.sh(new, f"cat {STATUS}") == "off", "the agent was not asked"
    why = lab.sql(new, HISTORY, "backup_ha")
    assert f"The fence reported that {old} is off" in why and "word" not in why, why
    lab.power_on(old)
    take_back(lab, new, old)
    cluster.settle(new)

    lab.power_off(new)
    outcome = lab.play("failover", "-e", f"backup_ha_failover_confirmed={new}").check()
    assert f"The fence reported that {new} is off" in outcome.said, outcome
    serves(lab, old)
    lab.power_on(new)
    take_back(lab, old, new)
    cluster.settle(old)


def test_a_fence_that_can_not_be_used_is_in_nobodys_way(cluster: Cluster) -> None:
    """Where one is needed, it is named; a word, or a proof, does without it. The history keeps the word."""
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    with fence(lab, new):
        lab.sh(new, "echo '{' > /etc/backup-ha/fence.json")
        lab.power_off(old)
        assert "fence.json is not JSON" in refused(lab, new, "--yes")
        outcome = lab.play("failover", "-e", f"backup_ha_failover_confirmed={old}")
        assert outcome.code != 0 and "fence.json is not JSON" in outcome.said, outcome
        lab.play("failover", *sure(old)).check()
    serves(lab, new)
    assert f"The operator's word: {old} is off." in lab.sql(new, HISTORY, "backup_ha")
    lab.power_on(old)
    take_back(lab, new, old)
    cluster.settle(new)
