"""The demo's report: exactly these keys, and a verdict that nothing unmeasured can pass."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

MIN_FILES = 1_000
MIN_BYTES = 200_000_000


@dataclass
class Backup:
    """What the Director says that the job wrote."""

    files: int | None = None
    bytes: int | None = None


@dataclass
class Switchover:
    """What clients and observers saw."""

    write_gap_ms: float | None = None
    playbook_s: float | None = None
    lost_commits: int | None = None
    two_writers: bool | None = None


@dataclass
class Restore:
    """Every file compared by checksum."""

    files: int | None = None
    mismatched: int | None = None


@dataclass
class Report:
    """None everywhere means: not measured."""

    assemble_s: float | None = None
    backup: Backup = field(default_factory=Backup)
    switchover: Switchover = field(default_factory=Switchover)
    restore: Restore = field(default_factory=Restore)

    def faults(self) -> list[str]:
        """Why this is no success; empty when it is one."""
        checks = {
            "the cluster was not assembled": self.assemble_s is not None,
            f"fewer than {MIN_FILES} files backed up": (self.backup.files or 0) >= MIN_FILES,
            f"fewer than {MIN_BYTES} bytes backed up": (self.backup.bytes or 0) >= MIN_BYTES,
            "the write gap was not measured": self.switchover.write_gap_ms is not None,
            "the switchover was not timed": self.switchover.playbook_s is not None,
            f"lost commits: {_said(self.switchover.lost_commits)}": self.switchover.lost_commits == 0,
            f"two writers: {_said(self.switchover.two_writers)}": self.switchover.two_writers is False,
            f"fewer than {MIN_FILES} files restored": (self.restore.files or 0) >= MIN_FILES,
            f"restored files that differ: {_said(self.restore.mismatched)}": self.restore.mismatched == 0,
        }
        return [fault for fault, good in checks.items() if not good]

    def as_json(self, faults: list[str]) -> dict[str, Any]:
        """Make the content of report.json; `faults` may know more than the figures do."""
        return {**asdict(self), "verdict": "failed" if faults else "passed"}


def _said(value: object) -> str:
    return "not measured" if value is None else str(value)
