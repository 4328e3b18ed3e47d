# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until a standby follows."""

from __future__ import annotations

import time

from ._config import NodeConfig
from ._errors import DeadlineError
from ._postgres import connect_peer, wait_for_session
from ._rejoin_facts import current_timeline, receives_on


def await_streaming(config: NodeConfig, timeout: float) -> None:
    """On the primary's timeline: until it gets there, a standby may stream for a moment up to a fork."""
    deadline = time.monotonic() + timeout
    with connect_peer(config) as peer, wait_for_session(config.postgresql, timeout) as connection:
        wanted = current_timeline(peer)
        while receives_on(connection) != wanted:
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"{config.node} runs but does not stream from {config.peer} after {timeout:.0f} s; PostgreSQL's "
                    f"log on {config.node} says why."
                )
            time.sleep(0.02)
