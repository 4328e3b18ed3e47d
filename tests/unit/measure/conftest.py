# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the measuring's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from ansible_collections.duet.backup_ha.tests.unit.measure.fake_server import (
    DONE,
    WELCOME,
    Answer,
    FakeServer,
)


@pytest.fixture
def fake_server() -> Iterator[Callable[..., FakeServer]]:
    """Make fake servers, and close them after the test."""
    made: list[FakeServer] = []

    def make(answer: Answer = lambda _: DONE, welcome: bytes = WELCOME) -> FakeServer:
        made.append(FakeServer(answer, welcome))
        return made[-1]

    yield make
    for server in made:
        server.close()
