"""What the agents take: memory and processor time."""

from __future__ import annotations

from measure.servers import Servers

WINDOW_S = 20

# Resident memory in kB, then the process' clock ticks during the window.
_LOOK = f"""
pid=$(systemctl show --property MainPID --value backup-ha-agent.service)
ticks() {{ awk '{{ print $14 + $15 }}' "/proc/$pid/stat"; }}
awk '$1 == "VmRSS:" {{ print $2 }}' "/proc/$pid/status"
before=$(ticks); sleep {WINDOW_S}; echo $(($(ticks) - before)); getconf CLK_TCK
"""


def look(servers: Servers) -> tuple[float, float]:
    """The larger one's memory in MB and its use of one core in percent, while nothing happens."""
    found = [_look(servers, address) for address in servers.nodes.values()]
    return max(memory for memory, _ in found), max(percent for _, percent in found)


def _look(servers: Servers, address: str) -> tuple[float, float]:
    memory_kb, ticks, per_second = map(int, servers.run(address, ["sh", "-euc", _LOOK]).split())
    return memory_kb / 1000, 100 * ticks / per_second / WINDOW_S
