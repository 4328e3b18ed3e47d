# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether anybody listens at an address, without asking what."""

from __future__ import annotations

import socket

TCP_S = 0.5


def ask_port(address: str, port: int, timeout: float = TCP_S) -> str:
    """``open``, ``refused`` (the server answers that nobody listens) or ``silent``."""
    try:
        socket.create_connection((address, port), timeout=timeout).close()
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silent"
    return "open"
