"""The first steps in README.md: two servers of `make lab`, which have none of the packages yet."""

from __future__ import annotations

from tests.scenarios.cluster import director_answers, faults
from tests.scenarios.support import NODES, Lab


def test_two_servers_without_packages_become_a_healthy_cluster(bare: Lab) -> None:
    bare.up()
    packages = "postgresql-15 bacula-director bacula-console"
    for node in NODES:
        assert bare.sh(node, f"dpkg-query --show {packages}", check=False) == ""
    bare.play("assemble").check()
    assert faults(bare) == []
    status = bare.play("status")
    assert (status.code, status.verdict) == (0, "healthy"), status
    assert "row 1 of version" in director_answers(bare, "node2")


def test_assembling_again_changes_nothing(bare: Lab) -> None:
    with bare.unchanged():
        again = bare.play("assemble").check()
    assert again.changed == {"node1": 0, "node2": 0}, again


def test_a_switchover_exchanges_the_roles(bare: Lab) -> None:
    bare.play("switchover").check()
    assert faults(bare) == []
    assert bare.writers() == ["node2"]
