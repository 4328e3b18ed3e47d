"""The lab for the scenarios, and the cluster on it."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator

import pytest

from tests.scenarios.cluster import Cluster, allow_rejoin, faults, sound_primary
from tests.scenarios.playbook import ROOT
from tests.scenarios.support import NODES, Lab

NAME = "DUET_LAB"
SUBNET = "DUET_LAB_SUBNET"


def named() -> tuple[str, str]:
    """The name and the subnet that run.py gave."""
    name, subnet = os.environ.get(NAME), os.environ.get(SUBNET)
    if not name or not subnet:
        pytest.skip(f"{NAME} and {SUBNET} name no lab; tests/scenarios/run.py does")
    return name, subnet


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab that run.py named; run.py removes it, too."""
    name, subnet = named()
    made = Lab(name, subnet, ROOT / "build/scenarios" / name)
    made.forget_connections()
    made.up()
    return made


@pytest.fixture(scope="module")
def bare() -> Iterator[Lab]:
    """A lab like that of `make lab`, without packages. It begins and ends as nothing: a test has to start it."""
    name, subnet = named()
    taken = ipaddress.IPv4Network(subnet)
    # The next one is the other worker's.
    free = ipaddress.IPv4Network((int(taken.network_address) + 2 * taken.num_addresses, taken.prefixlen))
    made = Lab(f"{name}b", str(free), ROOT / "build/scenarios" / f"{name}b", flavour="")
    made.forget_connections()
    made.down()
    yield made
    made.forget_connections()
    made.down()


@pytest.fixture(scope="module")
def blank(lab: Lab) -> Lab:
    """The lab with two blank servers, for the scenarios of one file."""
    lab.reset(*NODES)
    return lab


@pytest.fixture
def cluster(lab: Lab) -> Cluster:
    """A sound cluster. One that an earlier scenario broke is assembled anew: one failure must not cause others."""
    made = Cluster(lab, sound_primary(lab))
    if made.primary == "":
        print(f"assembling a cluster, because {faults(lab)}")
        lab.reset(*NODES)
        lab.play("assemble").check()
        made = Cluster(lab, made.settle())
    return made


@pytest.fixture
def by_hand(cluster: Cluster) -> Iterator[None]:
    """No node rejoins by itself, so that there is time to see how it is done by hand."""
    allow_rejoin(cluster.lab, False)
    yield
    allow_rejoin(cluster.lab, True)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """A test's line says how long it took, and at once why it failed: these are scenarios, not unit tests."""
    if report.outcome == "skipped" or (report.when != "call" and report.passed):
        return None
    crash = getattr(report.longrepr, "reprcrash", None)
    why = f": {' '.join(crash.message.split())[:300]}" if crash else ""
    kind = report.outcome if report.when == "call" else "error"
    return kind, kind[0], f"{kind.upper()} {report.duration:.1f} s{why}"
