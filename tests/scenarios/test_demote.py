"""Whom the module demotes becomes a standby and nobody is promoted: the cluster has no primary until somebody says."""

from __future__ import annotations

from pathlib import Path

from tests.scenarios.cluster import TARGET, Cluster
from tests.scenarios.support import NODES, within

PLAY = """
- hosts: {node}
  gather_facts: false
  tasks:
    - duet.backup_ha.demote:
"""


def test_a_demoted_primary_follows_whoever_is_promoted(cluster: Cluster, tmp_path: Path) -> None:
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    play = tmp_path / "demote.yml"
    play.write_text(PLAY.format(node=old), encoding="utf-8")
    rehearsed = lab.play_path(play, "--check").check()
    assert rehearsed.changed[old] == 1 and lab.writers() == [old], rehearsed
    assert lab.play_path(play).check().changed[old] == 1
    assert lab.writers() == [] and not lab.has_endpoint(old) and not lab.is_active(old, TARGET)
    assert lab.play_path(play).check().changed[old] == 0
    status = lab.play("status")
    assert status.verdict == "failed" and "backup-ha resume --alone" in status.said, status
    assert not any(lab.observe(node)["waits"] for node in NODES), "nobody asks to be primary"
    within(20, lambda: "is primary" in lab.sh(new, "backup-ha resume --alone", check=False), "the promotion")
    assert cluster.settle() == new
