"""What status says of agents that do not run, and of commits that do not wait although they should."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import judge
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds

TIMELINE = worlds.primary()["postgresql"]["timeline"]
WORD = {"node": "node1", "timeline": TIMELINE, "protected": True, "since": 1.0, "why": "it has everything"}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (WORD, None),
        (None, "do not wait for the secondary yet"),
        ({**WORD, "timeline": TIMELINE - 1}, "do not wait for the secondary yet"),
        ({**WORD, "node": "node2"}, "or not any more."),
        ({**WORD, "protected": False, "why": "it was gone"}, "or not any more (it was gone)."),
    ],
)
def test_commits_that_should_wait(word: dict[str, Any] | None, said: str | None) -> None:
    nodes: dict[str, Any] = worlds.pair()
    nodes["node1"]["protection"] = {"wanted": "preferred", "word": word, "waiting": ""}
    found = judge("duet", nodes)
    assert (found.verdict == "healthy") is (said is None)
    assert not said or said in found.reasons[0]


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_an_agent_that_does_not_run(node: str) -> None:
    nodes: dict[str, Any] = worlds.pair()
    nodes[node]["agent"] = "inactive"
    found = judge("duet", nodes)
    assert (found.verdict, found.reasons) == ("degraded", [f"backup-ha-agent.service does not run on {node}."])
    assert found.next == f"On {node}: systemctl start backup-ha-agent.service"


def test_commits_that_nobody_acknowledges() -> None:
    nodes: dict[str, Any] = worlds.pair()
    waiting = "Commits wait until node2 is back."
    nodes["node1"]["protection"] = {"wanted": "required", "word": {**WORD, "timeline": 1}, "waiting": waiting}
    found = judge("duet", nodes)
    assert (found.verdict, found.reasons) == ("degraded", [f"On node1: {waiting}"])
