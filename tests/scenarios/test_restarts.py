"""Whatever starts, starts read-only, and only the former primary goes on, by grant: one writer at every moment."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.scenarios.cluster import DIRECTOR, TARGET, Cluster, control_file
from tests.scenarios.support import DATA, NODES, UNIT, Lab, within
from tests.scenarios.watching import Watch, watch_over

POSTMASTER = f"$(head -n 1 {DATA}/postmaster.pid)"
RESUME_JOURNAL = "journalctl --unit backup-ha-resume --boot --output cat"
LOG = "/var/log/postgresql/postgresql-15-main.log"
WHY = "the other node does not answer"


@pytest.fixture
def watch(cluster: Cluster, tmp_path: Path) -> Watch:
    return watch_over(cluster, tmp_path)


def timeline(lab: Lab, node: str) -> int:
    """The node's timeline: each promotion takes the next one, so a node that was not promoted keeps it."""
    return int(control_file(lab, node)["Latest checkpoint's TimeLineID"])


def resumes(watch: Watch, lab: Lab, node: str, script: str) -> None:
    """Run a script that restarts the primary: it becomes the writer again, and by a promotion."""
    before = timeline(lab, node)
    watch.over(lambda: lab.sh(node, script), primary=node)
    assert timeline(lab, node) == before + 1, "it came up as a writer without a promotion"


def answers_session(lab: Lab, node: str) -> bool:
    return not lab.fails(node, "cd /; runuser -u postgres -- psql -Xc 'SELECT 1'")


@pytest.mark.parametrize(
    "script",
    [
        f"systemctl restart {UNIT}",
        "pg_ctlcluster 15 main restart",
        f"kill -KILL {POSTMASTER}",
        "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --reinstall postgresql-15",
    ],
    ids=["systemctl", "pg_ctlcluster", "kill", "package"],
)
def test_postgresql_restarted_on_the_primary_resumes_by_grant(watch: Watch, script: str) -> None:
    resumes(watch, watch.cluster.lab, watch.cluster.primary, script)


def test_a_stop_in_the_middle_of_a_start_is_a_fast_one(watch: Watch) -> None:
    """Who is to be rewound is stopped as soon as it lets a session in: before the start has ended for systemd.

    systemd's own signal would be SIGTERM to all its processes, after which a standby under load may never end: its
    background writer is started once more, and is waited for.
    """
    lab, node = watch.cluster.lab, watch.cluster.secondary
    session = "runuser -u postgres -- psql -Xc 'SELECT 1' >/dev/null 2>&1"

    def stop_in_the_middle() -> None:
        state, kind = lab.sh(
            node,
            f"cd /; systemctl stop {UNIT}; systemctl start --no-block {UNIT}; until {session}; do sleep 0.02; done; "
            f"systemctl is-active {UNIT}; timeout 30 systemctl stop {UNIT}; "
            f"grep -ao 'received .* shutdown request' {LOG} | tail -n 1",
            check=False,
        ).splitlines()
        lab.sh(node, f"systemctl start {UNIT}")
        assert (state, kind) == ("activating", "received fast shutdown request")

    watch.over(stop_in_the_middle, primary=watch.cluster.primary)


def test_postgresql_started_past_systemd_stays_read_only(watch: Watch) -> None:
    lab, node = watch.cluster.lab, watch.cluster.primary
    control = "pg_ctlcluster --skip-systemctl-redirect 15 main"

    def start_in_a_shell() -> None:
        lab.sh(node, f"systemctl stop {UNIT}; {control} start")
        within(20, lambda: answers_session(lab, node), "an answer")
        assert lab.writers() == []
        assert not lab.has_endpoint(node)
        lab.sh(node, f"{control} stop -m fast; systemctl start {UNIT}")

    watch.over(start_in_a_shell, primary=node)


def test_postgresql_stopped_on_the_primary_takes_endpoint_and_workload_along(watch: Watch) -> None:
    lab, node = watch.cluster.lab, watch.cluster.primary

    def stop_and_start() -> None:
        lab.sh(node, f"systemctl stop {UNIT}")
        within(10, lambda: not lab.has_endpoint(node), "the endpoint is gone")
        assert not lab.is_active(node, TARGET)
        assert not lab.is_active(node, DIRECTOR)
        assert lab.writers() == []
        lab.sh(node, f"systemctl start {UNIT}")

    watch.over(stop_and_start, primary=node)


def test_the_primary_loses_power_and_resumes(watch: Watch) -> None:
    lab, node = watch.cluster.lab, watch.cluster.primary

    def cut_power() -> None:
        lab.power_off(node)
        lab.power_on(node)

    watch.over(cut_power, primary=node)


@pytest.mark.parametrize("first", ["primary", "secondary"])
def test_both_nodes_lose_power_and_exactly_the_former_primary_resumes(watch: Watch, first: str) -> None:
    cluster, lab = watch.cluster, watch.cluster.lab
    order = sorted(NODES, key=lambda node: node != getattr(cluster, first))

    def cut_power() -> None:
        for node in NODES:
            lab.power_off(node)
        lab.power_on(order[0])
        within(20, lambda: answers_session(lab, order[0]), "PostgreSQL answers")
        assert lab.writers(order[:1]) == [], "it did not ask the other node"
        lab.power_on(order[1])

    watch.over(cut_power, primary=cluster.primary)


def test_the_primary_restarts_while_the_other_node_is_off(watch: Watch) -> None:
    cluster, lab, node = watch.cluster, watch.cluster.lab, watch.cluster.primary
    said: list[str] = []

    def go_on_alone() -> None:
        lab.power_off(cluster.secondary)
        lab.power_off(node)
        lab.power_on(node)
        within(20, lambda: answers_session(lab, node), "PostgreSQL answers")
        # Who has lost power answers nothing, not even "no", so that the first answer takes a time-out.
        within(20, lambda: WHY in lab.sh(node, RESUME_JOURNAL), "the journal says why it waits")
        time.sleep(3)  # it asks again and again, and must not lose patience
        assert lab.writers([node]) == [] and not lab.has_endpoint(node)
        said.extend(lab.sh(node, command) for command in (RESUME_JOURNAL, "backup-ha status"))

        assert "is primary" in lab.sh(node, "backup-ha resume --alone")
        assert lab.accepts_writes(node) and lab.has_endpoint(node)
        within(10, lambda: lab.is_active(node, DIRECTOR), "the Director runs")
        lab.power_on(cluster.secondary)

    watch.over(go_on_alone, primary=node)
    assert all(WHY in words for words in said), said
    assert "backup-ha resume --alone" in said[1], said


def test_a_secondary_is_not_promoted_while_the_primary_answers(watch: Watch) -> None:
    cluster, lab = watch.cluster, watch.cluster.lab

    def try_to_resume() -> None:
        for command in ("backup-ha resume", "backup-ha resume --alone"):
            assert "follows the other node" in lab.sh(cluster.secondary, command)
            assert lab.writers() == [cluster.primary]

    before = timeline(lab, cluster.primary)
    watch.over(try_to_resume, primary=cluster.primary)
    assert timeline(lab, cluster.primary) == before
    # Its checkpoint's timeline may be an older one: a standby writes it with its next restartpoint only.
    assert control_file(lab, cluster.secondary)["Database cluster state"] == "in archive recovery"


def test_the_workload_can_not_be_started_on_a_secondary(cluster: Cluster) -> None:
    lab, node = cluster.lab, cluster.secondary
    assert lab.fails(node, f"systemctl start {DIRECTOR}")
    assert lab.fails(node, "systemctl start backup-ha-endpoint.service")
    assert not lab.is_active(node, DIRECTOR)
    assert not lab.has_endpoint(node)
    assert lab.is_active(cluster.primary, DIRECTOR)
    cluster.settle(cluster.primary)
