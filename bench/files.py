"""How long a changed configuration file takes from one node's disk to the other's."""

from __future__ import annotations

import random
import shlex
import time

from measure.servers import ServerError, Servers

PATH = "/etc/bacula/duet-bench.conf"
LIMIT_S = 60.0


def replicate(servers: Servers, primary: str, secondary: str) -> float:
    """Change a file on the primary; seconds until it took its place on the secondary.

    The kernel notes both moments, by the one clock that the lab's nodes share; nobody has to look at the right time.
    """
    content = f"bench {time.time_ns()}"
    # The agents look once a second: not always in the same phase.
    time.sleep(random.random())
    _run(servers, primary, f"echo {shlex.quote(content)} > {PATH}.new && mv {PATH}.new {PATH}")
    changed = _changed(servers, primary)
    deadline = time.monotonic() + LIMIT_S
    while _run(servers, secondary, f"cat {PATH} 2> /dev/null || true") != content:
        if time.monotonic() > deadline:
            raise ServerError(f"{PATH} is not on {secondary} {LIMIT_S:.0f} s after it was changed on {primary}")
        time.sleep(0.2)
    return _changed(servers, secondary) - changed


def _changed(servers: Servers, address: str) -> float:
    return float(_run(servers, address, f"stat -c %.9Z {PATH}"))


def _run(servers: Servers, address: str, script: str) -> str:
    return servers.run(address, ["sh", "-c", script]).strip()
