"""What the runs found, as rows on disk and as the page docs/faults.md."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from tests.scenarios.playbook import ROOT, Outcome

ROWS = ROOT / "build" / "faults"
PAGE = ROOT / "docs" / "faults.md"
HEAD = """# What was broken, when, and what came of it

Written by `make faults` from its own runs; nothing here is typed by hand. Each row is one run on real servers: the
fault strikes within a millisecond or two after the node has written the step into its record of the operation. Then
power and network come back, the same playbook runs again, and a client outside, which has been writing all along, is
asked what it saw. Every row has passed: never two writers, nothing acknowledged lost (after a failover without
synchronous commits: nothing beyond the announced loss), both nodes streaming, the endpoint on one node.

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
    test: str = ""  # which one found it, and in which product: the next run does not repeat it
    product: str = ""

    def keep(self) -> None:
        ROWS.mkdir(parents=True, exist_ok=True)
        found = replace(self, test=short_name(os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]), product=product())
        name = f"{self.workflow}-{self.node}-{self.step}-{self.fault}".replace(" ", "_")
        (ROWS / f"{name}.json").write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")


def short_name(test: str) -> str:
    """A test's name without the folders that depend on where pytest was started."""
    return test.rpartition("/")[2]


@cache
def product() -> str:
    """A digest of all that runs on nodes and control node: what was found holds for this and nothing else."""
    digest = hashlib.sha256()
    for folder in ("plugins", "roles", "playbooks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def ending(outcome: Outcome | None) -> str:
    """In a word how a playbook ended."""
    if outcome is None:
        return "silent"
    if outcome.code == 0:
        return "done"
    words = {"outcome: in_doubt": "in doubt", "outcome: refused": "refused", "UNREACHABLE!": "unreachable"}
    return next((word for said, word in words.items() if said in outcome.output), "failed")


def page(rows: list[Row], tests: list[str]) -> str:
    """The matrix as a page, in the order of the rows; ``tests`` are the names of all that belong to it."""
    lines = ["| workflow | node | step | fault | first run | by itself |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {row.workflow} | {row.node} | {row.step.replace('_', ' ')} | {row.fault} | {row.first} "
        f"| {'yes' if row.alone else 'no'} |"
        for row in rows
    ]
    missing = sorted(set(tests) - {row.test for row in rows})
    rest = "".join(f"- `{name}`\n" for name in missing)
    said = f"\nNot run, or not passed, since the product was last changed:\n\n{rest}" if missing else ""
    found_in = ", ".join(sorted({row.product for row in rows})) or "none"
    count = f"{len(rows)} of {len(tests)} rows, found in the product with the digest {found_in}."
    return f"{HEAD}\n" + "\n".join(lines) + f"\n\n{count}\n{said}"


def forget_others() -> None:
    """Drop the rows that were found in another product."""
    for path in ROWS.glob("*.json"):
        if json.loads(path.read_text(encoding="utf-8")).get("product") != product():
            path.unlink()


def read_rows() -> list[Row]:
    return [Row(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(Path(ROWS).glob("*.json"))]
