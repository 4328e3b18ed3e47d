# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Third parties: whoever is there in any case, so that a node can tell whether it is cut off."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from . import _endpoint
from ._config import Endpoint
from ._system import run


def gateways(address: str) -> tuple[str, ...]:
    """The default gateways of the address's family."""
    family = f"-{ipaddress.ip_address(address).version}"
    routes: list[dict[str, Any]] = json.loads(run(["ip", family, "-json", "route", "show", "default"]) or "[]")
    return tuple(route["gateway"] for route in routes if "gateway" in route)


def answers(address: str, endpoint: Endpoint) -> bool:
    """By ping, or as a neighbour: not every gateway answers to ping."""
    if "1 received" in run(["ping", "-n", "-c", "1", "-W", "0.5", address], timeout=3, check=False):
        return True
    wanted, own = ipaddress.ip_address(address), ipaddress.ip_address(endpoint.address)
    near = ipaddress.ip_interface(f"{endpoint.address}/{endpoint.prefix}").network
    if wanted.version != own.version or wanted not in near:
        return False
    try:
        return _endpoint.probe(Endpoint(address, endpoint.prefix, endpoint.interface, "")) is not None
    except OSError:  # the interface is down
        return False
