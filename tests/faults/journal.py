"""The moment when a node has written down its next step, seen from outside of the node and without its help."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.scenarios.playbook import Running
from tests.scenarios.support import Lab, run

RECORD = "var/lib/backup-ha/operation.json"


@dataclass
class Journal:
    """The record of the operation on a node's disk, through the node's first process."""

    node: str
    init: int
    known: str = ""  # the operation that was there before

    @classmethod
    def of(cls, lab: Lab, node: str) -> Journal:
        journal = cls(node, init_process(lab, node))
        journal.known = journal.read().get("id", "")
        return journal

    def read(self) -> dict[str, Any]:
        """The record; nothing while there is none, or the node is off."""
        try:
            found: dict[str, Any] = json.loads(Path(f"/proc/{self.init}/root/{RECORD}").read_text(encoding="utf-8"))
            return found
        except (OSError, ValueError):
            return {}

    def await_step(self, step: str, running: Running, timeout: float = 120.0) -> None:
        """Wait until a new operation has written this step down; AssertionError when it ended without."""
        deadline = time.monotonic() + timeout
        while True:
            record = self.read()
            if record and record["id"] != self.known and record.get("step") == step:
                return
            assert running.process.poll() is None, f"{self.node} never wrote down '{step}': {running.log}"
            assert time.monotonic() < deadline, f"{self.node} did not write down '{step}' in time: {running.log}"
            time.sleep(0.001)


def init_process(lab: Lab, node: str) -> int:
    """The node's first process, by its number on this machine: who kills it cuts the node's power at once."""
    return int(run("podman", "inspect", "--format", "{{.State.Pid}}", f"{lab.name}-{node}"))
