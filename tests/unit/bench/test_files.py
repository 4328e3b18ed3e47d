# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a configuration file, as the benchmark measures it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import pytest

from bench import files
from measure.servers import ServerError


class Nodes:
    """Two nodes; the secondary gets the file with the third look at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
        self.content, self.left, self.clock = "", looks, itertools.count(1000.0)
        monkeypatch.setattr(time, "sleep", lambda _seconds: None)
        monkeypatch.setattr(time, "monotonic", lambda: next(self.clock))

    def run(self, address: str, argv: Sequence[str]) -> str:
        script = argv[-1]
        if script.startswith("echo"):
            assert address == "primary"
            self.content = script.split("'")[1]
        if script.startswith("stat"):
            return {"primary": "1000.250000000\n", "secondary": "1002.000000000\n"}[address]
        if script.startswith("cat"):
            assert address == "secondary"
            self.left -= 1
            return f"{self.content}\n" if self.left < 0 else "bench before\n"
        return ""


def test_both_moments_are_the_file_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes: Any = Nodes(monkeypatch, looks=3)
    assert files.replicate(nodes, "primary", "secondary") == 1.75


def test_a_file_that_never_comes_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes: Any = Nodes(monkeypatch, looks=10**6)
    with pytest.raises(ServerError, match="is not on secondary 60 s after"):
        files.replicate(nodes, "primary", "secondary")
