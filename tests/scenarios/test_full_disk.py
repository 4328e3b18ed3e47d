"""The disk of PostgreSQL is full in the middle of a role change: one writer, nothing lost, and it heals with room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.journal import Journal, init_process
from tests.scenarios.cluster import Cluster
from tests.scenarios.support import NODES, UNIT, CommandError, Lab, run, within
from tests.scenarios.taking_over import answers_session
from tests.scenarios.test_rejoin import MARK, follows, forks, lose_wal
from tests.scenarios.watching import watch_over

pytestmark = [pytest.mark.later, pytest.mark.usefixtures("by_hand")]

FOLDER = "/var/lib/postgresql/15"
ROOMY_MB = 4096


@dataclass(frozen=True)
class Disk:
    """PostgreSQL's data on a file system of its own, in memory: its size changes in a moment. A power cut ends it."""

    lab: Lab
    node: str
    init: int

    @classmethod
    def of(cls, lab: Lab, node: str) -> Disk:
        disk = cls(lab, node, init_process(lab, node))
        if not lab.fails(node, f"mountpoint {FOLDER}"):
            return disk
        lab.sh(node, f"systemctl stop {UNIT}; mv {FOLDER} {FOLDER}.aside; mkdir {FOLDER}")
        disk._mount("-t", "tmpfs", "-o", f"size={ROOMY_MB}m", "tmpfs")
        lab.sh(node, f"cp -a {FOLDER}.aside/. {FOLDER}; chown --reference={FOLDER}.aside {FOLDER}")
        lab.sh(node, f"rm -rf {FOLDER}.aside; systemctl start {UNIT}")
        return disk

    def _mount(self, *words: str) -> None:
        run("nsenter", "-t", str(self.init), "-m", "mount", *words, FOLDER)

    def fill(self, spare_kb: int = 0) -> None:
        """The kernel refuses a size below what is used, which may be more than a moment ago."""

        def shrink() -> bool:
            used = int(self.lab.sh(self.node, f"df --output=used {FOLDER} | tail -1"))
            try:
                self._mount("-o", f"remount,size={used + spare_kb}k")
            except CommandError:
                return False
            return True

        within(5, shrink, "no room is left")

    def empty(self) -> None:
        self._mount("-o", f"remount,size={ROOMY_MB}m")


@pytest.fixture(scope="module", autouse=True)
def as_it_was(lab: Lab) -> Iterator[None]:
    """Only a new server has its disk back."""
    yield
    lab.reset(*NODES)


@pytest.fixture
def small(cluster: Cluster) -> Iterator[tuple[Cluster, dict[str, Disk]]]:
    """A sound cluster on disks that can be filled."""
    disks = {node: Disk.of(cluster.lab, node) for node in (cluster.secondary, cluster.primary)}
    now = Cluster(cluster.lab, cluster.settle())
    yield now, disks
    for disk in disks.values():
        disk.empty()


def test_refused_before_anything_stops(small: tuple[Cluster, dict[str, Disk]]) -> None:
    cluster, disks = small
    disks[cluster.secondary].fill(100 * 1024)
    outcome = cluster.lab.play("switchover")
    assert outcome.code != 0 and ": refused." in outcome.said and "Make room there." in outcome.said, outcome
    disks[cluster.secondary].empty()
    assert cluster.settle() == cluster.primary


@pytest.mark.parametrize(
    ("side", "step"),
    [
        ("primary", "checkpoint"),
        ("primary", "stop_primary"),
        ("secondary", "await_promotion"),
        ("secondary", "serve"),
    ],
)
def test_in_the_middle_of_a_switchover(
    small: tuple[Cluster, dict[str, Disk]], tmp_path: Path, side: str, step: str
) -> None:
    cluster, disks = small
    lab, node = cluster.lab, cluster.primary if side == "primary" else cluster.secondary
    journal = Journal.of(lab, node)

    def fill_and_make_room() -> None:
        running = lab.start("switchover")
        journal.await_step(step, running)
        disks[node].fill()
        running.wait(200)
        assert len(lab.writers()) < 2
        disks[node].empty()
        lab.forget_connections()
        if len(lab.writers()) == 0:
            within(60, lab.writers, lambda: f"a writer by itself; {lab.play('status').said}")
        if lab.play("status").verdict != "healthy":
            lab.play("switchover")

    watch_over(cluster, tmp_path).over(fill_and_make_room)


def fork(cluster: Cluster) -> None:
    """The old primary has WAL of its own and is a standby that can't follow; nothing has lost its power."""
    lab, old, new = cluster.lab, cluster.primary, cluster.secondary
    lab.sql(old, "DROP TABLE IF EXISTS scenario_lost, scenario_gained", "bacula")
    lab.cut_link()
    lab.sql(old, "SET synchronous_commit = local; CREATE TABLE scenario_lost AS SELECT generate_series(1, 5)", "bacula")
    lab.sh(old, f"systemctl stop {UNIT}")
    lab.mend_link()
    within(20, lambda: "is primary" in lab.sh(new, "backup-ha resume --alone", check=False), "the promotion")
    lab.sql(
        new,
        "CREATE TABLE scenario_gained AS SELECT n, repeat(md5(n::text), 8) AS t FROM generate_series(1, 300000) AS n",
        "bacula",
    )
    lab.sh(old, f"systemctl start {UNIT}")
    within(30, lambda: answers_session(lab, old), "an answer")


def test_in_the_middle_of_a_rewind(small: tuple[Cluster, dict[str, Disk]]) -> None:
    """What was kept stays kept. A copy takes the place of what the rewind left, or waits for room."""
    cluster, disks = small
    lab, node = cluster.lab, cluster.primary
    fork(cluster)
    before = forks(lab, node)
    journal = Journal.of(lab, node)
    running = lab.start("rejoin")
    journal.await_step("rewind", running)
    disks[node].fill()
    first = running.wait(200)
    assert len(set(forks(lab, node)) - set(before)) == 1 and lab.writers() == [cluster.secondary]
    if first.code == 0:
        assert f"{node}: was copied anew" in first.said, first
    else:
        assert ": failed." in first.said and lab.fails(node, f"systemctl start {UNIT}"), first
    disks[node].empty()
    lab.play("rejoin").check()
    follows(cluster)


def test_no_room_for_two_copies_where_the_old_one_is_worth_nothing(small: tuple[Cluster, dict[str, Disk]]) -> None:
    """As an interrupted rewind leaves it."""
    cluster, disks = small
    lab, node = cluster.lab, cluster.primary
    fork(cluster)
    lab.sh(node, f"systemctl stop {UNIT}; echo '{{}}' > {MARK}")
    disks[node].fill(20 * 1024)
    rejoined = lab.play("rejoin").check()
    assert f"{node}: was copied anew" in rejoined.said, rejoined
    disks[node].empty()
    follows(cluster)


def test_no_room_for_two_copies_where_the_old_one_is_whole(small: tuple[Cluster, dict[str, Disk]]) -> None:
    """It is all that this node has, so nothing is done before there is room."""
    cluster, disks = small
    lab, node = cluster.lab, cluster.secondary
    lose_wal(cluster)
    disks[node].fill(20 * 1024)
    with lab.unchanged(node):
        refused = lab.play("rejoin")
        assert refused.code != 0 and ": refused." in refused.said, refused
        assert "are needed for the copy" in refused.said and "are free" in refused.said, refused
    disks[node].empty()
    rejoined = lab.play("rejoin").check()
    assert f"{node}: was copied anew" in rejoined.said, rejoined
    cluster.settle(cluster.primary)
