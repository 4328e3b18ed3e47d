"""Only the last primary asks to go on: one that has caught up with its successor is a secondary."""

from __future__ import annotations

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import UNIT, Lab, within
from tests.scenarios.taking_over import DONE, answers_session, failover, never_writes, serves, sure
from tests.scenarios.test_rejoin import in_step

RESUME = "backup-ha-resume.service"
CLAIM = "/var/lib/backup-ha/primary.json"


def keep_from_asking(lab: Lab, node: str) -> None:
    """As if whoever asks, and forgets, were killed over and over."""
    drop_in = f"/etc/systemd/system/{RESUME}.d"
    never = "printf '[Unit]\\nConditionPathExists=/nowhere\\n'"
    lab.sh(node, f"systemctl stop {RESUME}; mkdir -p {drop_in}; {never} > {drop_in}/scenario.conf")
    lab.sh(node, "systemctl daemon-reload")


def let_it_ask(lab: Lab, node: str) -> None:
    lab.sh(node, f"rm -rf /etc/systemd/system/{RESUME}.d; systemctl daemon-reload")


def succeeded(cluster: Cluster) -> None:
    """The secondary takes over, and the old primary catches up with it without ever asking: it keeps its claim."""
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    in_step(cluster)
    keep_from_asking(lab, old)
    lab.sh(old, f"systemctl stop {UNIT}")
    assert failover(lab, new, "--yes").code == DONE
    serves(lab, new)
    lab.sh(old, f"systemctl start {UNIT}")
    in_step(Cluster(lab, new))
    lab.sql(new, "CHECKPOINT")
    lab.sql(old, "CHECKPOINT")
    assert not lab.fails(old, f"test -e {CLAIM}")


@pytest.mark.later
def test_the_successor_goes_on_and_not_who_has_caught_up_with_it(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    succeeded(cluster)
    keep_from_asking(lab, new)
    in_step(Cluster(lab, new))
    lab.power_off(new)
    let_it_ask(lab, old)
    lab.sh(old, f"systemctl restart {UNIT}")
    never_writes(lab, old)
    lab.power_on(new)
    within(30, lambda: answers_session(lab, new), "the last primary is back, and is kept from asking")
    lab.sh(old, f"systemctl restart {UNIT}")
    within(30, lambda: answers_session(lab, old), "an answer")
    never_writes(lab, old, 6)
    let_it_ask(lab, new)
    lab.sh(new, f"systemctl start {RESUME}")
    cluster.settle(new)
    within(10, lambda: lab.fails(old, f"test -e {CLAIM}"), "the old claim is forgotten")


@pytest.mark.later
def test_it_takes_over_by_a_failover_as_any_secondary(cluster: Cluster) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    succeeded(cluster)
    let_it_ask(lab, old)
    lab.power_off(new)
    lab.sh(old, f"systemctl restart {UNIT}")
    never_writes(lab, old)
    lab.play("failover", *sure(new)).check()
    serves(lab, old)
    lab.power_on(new)
    never_writes(lab, new)
    lab.play("rejoin").check()
    cluster.settle(old)
