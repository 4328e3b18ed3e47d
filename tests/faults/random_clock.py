"""A clock of its own for each node: containers share the machine's, and that one is nobody's to change.

A small library stands between a node's programs and the clock: PostgreSQL's, the collection's and those of a session
over SSH. The Director keeps the true time, because it waits until times of day.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.scenarios.cluster import sound_primary
from tests.scenarios.support import NODES, UNIT, Lab, run, within

SOURCE = Path(__file__).with_name("clock.c")
OFFSET, LIBRARY = "/etc/clock-offset", "/usr/local/lib/clock.so"
# What a command that is run past SSH and systemd puts before itself.
PRELOAD = f"test ! -e {LIBRARY} || export LD_PRELOAD={LIBRARY}"
UNITS = (UNIT, "backup-ha-resume", "backup-ha-endpoint")
# PostgreSQL's wrapper takes nothing over from its own environment.
_PREPARE = f"""
set -eu
echo +0 > {OFFSET}
for unit in {" ".join(UNITS)}; do
    mkdir -p /etc/systemd/system/$unit.service.d
    printf '[Service]\\nEnvironment=LD_PRELOAD={LIBRARY}\\n' > /etc/systemd/system/$unit.service.d/zz-clock.conf
done
echo LD_PRELOAD={LIBRARY} >> /etc/environment
echo "LD_PRELOAD = '{LIBRARY}'" >> /etc/postgresql/15/main/environment
systemctl daemon-reload
systemctl restart ssh {UNIT}
"""


def prepare(lab: Lab, directory: Path) -> str:
    """Give both nodes clocks of their own; why not, if that can't be. PostgreSQL is restarted where it was not done."""
    if not shutil.which("gcc"):
        return "the nodes' clocks are left alone: there is no gcc here"
    try:
        library = directory / "clock.so"
        run("gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE))
        for node in NODES:
            if lab.fails(node, f"test -e {LIBRARY}"):
                run("podman", "cp", str(library), f"{lab.name}-{node}:{LIBRARY}")
                lab.sh(node, f"{{ {_PREPARE} }} 2>&1")
        within(60, lambda: sound_primary(lab), "the cluster is in order again")
        shift(lab, NODES[0], "+3600")
        seen = {node: clock(lab, node) for node in NODES}
        shift(lab, NODES[0], "+0")
    except AssertionError as error:
        return f"the nodes' clocks are left alone: {error}"
    if not 3590 < seen[NODES[0]] - seen[NODES[1]] < 3610:
        return f"the nodes' clocks are left alone, because a step of an hour was not seen: {seen}"
    return ""


def shift(lab: Lab, node: str, offset: str) -> None:
    """Set a node's clock, by its difference from the machine's in seconds; its programs see that within a second."""
    lab.sh(node, f"echo '{offset}' > {OFFSET}; sleep 1.2")


def clock(lab: Lab, node: str) -> float:
    """What PostgreSQL on a node takes for the time."""
    return float(lab.sql(node, "SELECT extract(epoch FROM clock_timestamp())"))
