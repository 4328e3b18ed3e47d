"""The proof that a playbook changed nothing notices a change when there is one."""

from __future__ import annotations

import pytest

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import UNIT, within

PSQL = "runuser -u postgres -- psql -XqAt -d bacula -c"
# How a change is called, what makes it, and what undoes it.
CHANGES = {
    "file /etc/bacula/new": ("touch /etc/bacula/new", "rm /etc/bacula/new"),
    "file /etc/hostname": ("chmod 600 /etc/hostname", "chmod 644 /etc/hostname"),
    "file /etc/hosts": ("sed -i 's/lab/LAB/' /etc/hosts", "sed -i 's/LAB/lab/' /etc/hosts"),
    "address 10.9.8.7": ("ip address add 10.9.8.7/32 dev eth0", "ip address del 10.9.8.7/32 dev eth0"),
    "unit file ssh.socket": ("systemctl enable ssh.socket", "systemctl disable ssh.socket"),
    "unit cron.service": ("systemctl stop cron", "systemctl start cron"),
    f"process {UNIT}.service": (f"systemctl restart {UNIT}", "true"),
    "package less": ("dpkg --force-all --purge less", "true"),
    "file /var/lib/backup-ha/operation.json": (
        "echo {} > /var/lib/backup-ha/operation.json",
        "rm /var/lib/backup-ha/operation.json",
    ),
    "databases 15/main": (f"{PSQL} 'CREATE TABLE t AS SELECT 1'", f"{PSQL} 'DROP TABLE t'"),
    "network": ("iptables -A INPUT -s 10.9.8.7 -j DROP", "iptables -F"),
    "data /var/lib/postgresql/15/other": ("mkdir /var/lib/postgresql/15/other", "rmdir /var/lib/postgresql/15/other"),
}


def test_every_kind_of_change_is_noticed(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.primary
    # The restart is last: the node has to be primary for all the others.
    do, undo = (
        " && ".join(sorted(words, key=lambda word: "restart" in word)) for words in zip(*CHANGES.values(), strict=True)
    )
    with pytest.raises(AssertionError, match="the servers have changed") as caught, lab.unchanged(node):
        lab.sh(node, f"cd /; {do}")
    lines = str(caught.value).splitlines()
    assert [name for name in CHANGES if not any(line.startswith(f"{node}: {name}") for line in lines)] == []
    within(30, lambda: lab.accepts_writes(node), f"{node} resumes")
    lab.sh(node, f"cd /; {undo}")
    cluster.settle(node)


def test_nothing_is_noticed_when_nothing_happens(cluster: Cluster) -> None:
    with cluster.lab.unchanged():
        cluster.lab.play("status").check()
