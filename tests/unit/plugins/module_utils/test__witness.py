# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a third party is there, by ping or as a neighbour."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _endpoint, _witness
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Endpoint

ENDPOINT = Endpoint("198.18.0.10", 24, "eth0", "")


@pytest.mark.parametrize(
    ("address", "pings", "neighbour", "there"),
    [
        ("198.18.0.1", "1 packets transmitted, 1 received", None, True),
        ("198.18.0.1", "1 packets transmitted, 0 received", "02:00:00:00:00:01", True),
        ("198.18.0.1", "1 packets transmitted, 0 received", None, False),
        ("198.18.0.1", "1 packets transmitted, 0 received", OSError(100, "Network is down"), False),
        ("192.0.2.1", "1 packets transmitted, 0 received", "02:00:00:00:00:01", False),
        ("2001:db8::1", "1 packets transmitted, 0 received", "02:00:00:00:00:01", False),
    ],
)
def test_a_witness(
    monkeypatch: pytest.MonkeyPatch, address: str, pings: str, neighbour: str | OSError | None, there: bool
) -> None:
    def probe(_asked: Endpoint) -> str | None:
        if isinstance(neighbour, OSError):
            raise neighbour
        return neighbour

    monkeypatch.setattr(_witness, "run", lambda _argv, **_options: pings)
    monkeypatch.setattr(_endpoint, "probe", probe)
    assert _witness.answers(address, ENDPOINT) is there
