# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is slow is told apart from one that lets nobody in."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._silence import describe_silence, is_silent
from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import judge
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds

LATE = {"msg": "Task failed: Timed out after 7 second(s).", "unreachable": False}
CASES: list[tuple[dict[str, Any] | None, str]] = [
    (None, "node2 does not answer over SSH."),
    ({}, "node2 does not answer over SSH."),
    ({"silence": {}}, "node2 does not answer over SSH."),
    ({"silence": {"msg": "Connection refused", "unreachable": True}}, "node2 does not answer over SSH."),
    ({"silence": LATE}, "node2 did not answer in time: it is slow, stands still, or was lost a moment ago."),
    ({"silence": {"msg": "No python.\nTrace"}}, "node2 answers over SSH and can't be looked at: No python."),
]


@pytest.mark.parametrize(("node", "said"), CASES)
def test_why(node: dict[str, Any] | None, said: str) -> None:
    assert is_silent(node) and describe_silence("node2", node) == said


@pytest.mark.parametrize(("node", "said"), CASES)
def test_every_verdict_says_so(node: dict[str, Any] | None, said: str) -> None:
    streaming, deaf = worlds.primary(), worlds.primary()
    deaf["postgresql"].update(accepting=False, problem="too many clients")
    for other in (streaming, worlds.secondary("node1"), worlds.unassembled("node1"), None):
        found = judge("duet", {"node1": other, "node2": node})
        assert any(reason.startswith(said.removesuffix(".")) for reason in found.reasons), (other, found)
    assert said in judge("duet", {"node1": deaf, "node2": node}).reasons


def test_whoever_answers_is_not_silent() -> None:
    assert not is_silent(worlds.primary())
