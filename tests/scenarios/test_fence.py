"""A fence makes sure that a silent primary is off, or the failover is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import Lab, within
from tests.scenarios.taking_over import DONE, HISTORY, NOT_DONE, failover, never_writes, refused, serves, take_back

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
