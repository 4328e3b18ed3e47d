"""A clock of its own for each node: containers share the machine's, and that one is nobody's to change.

libfaketime stands between a node's programs and the clock. What is measured (monotonic time) stays true, as on a server
whose clock is set.
"""

from __future__ import annotations

import json

from tests.scenarios.cluster import sound_primary
from tests.scenarios.support import NODES, UNIT, Lab, within

OFFSET = "/etc/faketimerc"
LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
SETTINGS = {
    "LD_PRELOAD": LIBRARY,
    "FAKETIME_TIMESTAMP_FILE": OFFSET,
    "FAKETIME_CACHE_DURATION": "1",
    "DONT_FAKE_MONOTONIC": "1",
}
MANAGER = "/etc/systemd/system.conf.d/clock.conf"
# Every way in which something on a node is started: by systemd, by a session over SSH, and PostgreSQL by its wrapper,
# which takes nothing over from its own environment.
_LINES = {
    MANAGER: ["[Manager]", f"DefaultEnvironment={' '.join(f'{name}={value}' for name, value in SETTINGS.items())}"],
    "/etc/environment": [f"{name}={value}" for name, value in SETTINGS.items()],
    "/etc/postgresql/15/main/environment": [f"{name} = '{value}'" for name, value in SETTINGS.items()],
}
_PREPARE = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive
install_library() {{ apt-get install -y -qq libfaketime > /dev/null; }}
test -e {LIBRARY} || install_library || {{ apt-get update -qq; install_library; }}
test ! -e {MANAGER} || exit 0
echo +0 > {OFFSET}
mkdir -p "$(dirname {MANAGER})"
python3 - <<'PYTHON'
for path, lines in {json.dumps(_LINES)}.items():
    with open(path, "a") as file:
        file.writelines(f"{{line}}\\n" for line in lines)
PYTHON
systemctl daemon-reexec
systemctl restart ssh {UNIT}
"""


def prepare(lab: Lab) -> str:
    """Give both nodes clocks of their own; what came of it in a word. PostgreSQL is restarted where it was not done."""
    try:
        for node in NODES:
            lab.sh(node, f"{{ {_PREPARE} }} 2>&1", timeout=180)
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
