"""What the runs found, as rows on disk and as the page docs/faults.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.scenarios.playbook import ROOT, Outcome

ROWS = ROOT / "build" / "faults"
PAGE = ROOT / "docs" / "faults.md"
HEAD = """# What was broken, when, and what came of it

Written by `make faults` from its own runs; nothing here is typed by hand. Each row is one run on real servers: the
fault strikes within a millisecond or two after the node has written the step into its record of the operation. Then
power and network come back, the same playbook runs again, and a client outside, which has been writing all along, is
asked what it saw. Every row has passed: never two writers, nothing acknowledged lost, both nodes streaming, the
endpoint on one node.

- *first run*: how the interrupted playbook ended. *Silent* is a control process that was killed.
- *by itself*: whether somebody served again before the playbook ran a second time.

"""


@dataclass(frozen=True)
class Row:
    """One run: how the interrupted playbook ended, and whether the cluster served without running it again."""

    workflow: str
    node: str
    step: str
    fault: str
    first: str
    alone: bool
    seconds: float

    def keep(self) -> None:
        ROWS.mkdir(parents=True, exist_ok=True)
        name = f"{self.workflow}-{self.node}-{self.step}-{self.fault}".replace(" ", "_")
        (ROWS / f"{name}.json").write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def ending(outcome: Outcome | None) -> str:
    """In a word how a playbook ended."""
    if outcome is None:
        return "silent"
    if outcome.code == 0:
        return "done"
    words = {"outcome: in_doubt": "in doubt", "outcome: refused": "refused", "UNREACHABLE!": "unreachable"}
    return next((word for said, word in words.items() if said in outcome.output), "failed")


def page(rows: list[Row]) -> str:
    """The matrix as a page, in the order of the rows."""
    lines = ["| workflow | node | step | fault | first run | by itself |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {row.workflow} | {row.node} | {row.step.replace('_', ' ')} | {row.fault} | {row.first} "
        f"| {'yes' if row.alone else 'no'} |"
        for row in rows
    ]
    return HEAD + "\n".join(lines) + f"\n\n{len(rows)} runs.\n"


def read_rows() -> list[Row]:
    return [Row(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(Path(ROWS).glob("*.json"))]
