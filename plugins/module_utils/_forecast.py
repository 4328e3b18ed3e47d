# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the stop of a primary will take and how long nobody will write, from what was measured before. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

# What a stop and a promotion cost when there is nothing to wait for.
STOP_S = 0.05
PROMOTION_S = 0.1
# How long a WAL file takes to be archived when none was archived lately.
ASSUMED_FILE_S = 1.0
# What is marked as archived so soon was never archived here.
AT_ONCE_S = 0.0005
# Of the files archived last, so many tell how long one takes: usually, and now.
FILES_ASKED = (8, 3)


@dataclass(frozen=True)
class Forecast:
    """The parts, in seconds. ``checkpoint_s`` is what the last of the checkpoints before the stop took: as much is left
    for the one inside. None where it did not end while it was watched."""

    node: str
    checkpoint_s: float | None
    archive_files: int = 0
    archive_s: float = 0.0
    replay_s: float = 0.0
    before_s: float = 0.0

    @property
    def stop_s(self) -> float:
        return STOP_S + (self.checkpoint_s or 0.0) + self.archive_s

    @property
    def without_writer_s(self) -> float:
        return self.stop_s + self.replay_s + PROMOTION_S

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "stop_s": round(self.stop_s, 3), "without_writer_s": round(self.without_writer_s, 3)}

    @property
    def parts(self) -> str:
        """What the stop consists of, in words."""
        known = self.checkpoint_s is not None
        parts = [f"{say_s(self.checkpoint_s or 0.0)} for its checkpoint" if known else "its checkpoint not known yet"]
        if self.archive_files:
            files = f"{self.archive_files} WAL files" if self.archive_files > 1 else "1 WAL file"
            parts.append(f"{say_s(self.archive_s)} for {files} to be archived")
        return ", ".join(parts)

    def sentence(self) -> str:
        after = f", and {say_s(self.replay_s)} for what the other node has still to replay" if self.replay_s else ""
        before = f" What comes before the stop will take about {say_s(self.before_s)}." if self.before_s >= 1 else ""
        return (
            f"The stop will take about {say_s(self.stop_s)} ({self.parts}{after}); nobody will write for about "
            f"{say_s(self.without_writer_s)}.{before}"
        )


def say_s(seconds: float) -> str:
    """Seconds as a person says them.

    >>> say_s(0.234), say_s(2.34), say_s(12.34)
    ('0.23 s', '2.3 s', '12 s')
    """
    decimals = 0 if seconds >= 10 else 1 if seconds >= 1 else 2
    return f"{seconds:.{decimals}f} s"


def seconds_per_file(done: Sequence[tuple[float, float]], ready: Sequence[float], now: float) -> float | None:
    """How long archiving one WAL file takes. None when that can't be told.

    ``done``: when each archived file became ready, and when it was archived; ``ready``: when each waiting one became
    ready. One after the other is archived, and the one under way has taken as long as it has at least. A standby marks
    what it receives as archived at once; that tells nothing.
    """
    ordered = sorted((file for file in done if file[1] - file[0] > AT_ONCE_S), key=lambda file: file[1])
    took = [
        archived - max(began, before)
        for (began, archived), before in zip(ordered, [0.0, *(file[1] for file in ordered)], strict=False)
    ]
    known = [median(took[-count:]) for count in FILES_ASKED] if took else []
    if ready:
        last = ordered[-1][1] if ordered else 0.0
        known.append(now - max(min(ready), last))
    return max(0.0, *known) if known else None


def archive_forecast(archive: dict[str, Any], file_s: float | None) -> tuple[int, float]:
    """How many WAL files the stop waits for, and for how long. It ends one file early, which waits as well."""
    if archive["mode"] == "off":
        return 0, 0.0
    files = int(archive["waiting"]) + 1
    return files, round(files * (ASSUMED_FILE_S if file_s is None else file_s), 3)


def replay_forecast(senders: Sequence[dict[str, Any]], user: str) -> float:
    """How far the other node's replay is behind, in seconds; nothing where no byte is missing."""
    behind = [float(sender["lag_s"] or 0) for sender in senders if sender["user"] == user and sender["lag_bytes"]]
    return round(max(behind, default=0.0), 3)


def forecast_of(first: dict[str, Any], second: dict[str, Any], user: str) -> Forecast:
    """From what node_info has measured on the giving and on the receiving node."""
    measured = first.get("stop") or {}
    files, seconds = archive_forecast(first["postgresql"]["archive"], measured.get("archive_file_s"))
    stops = [(node.get("stop") or {}).get("workload_s") or 0.0 for node in (first, second)]
    return Forecast(
        node=first["node"],
        checkpoint_s=measured.get("checkpoint_s"),
        archive_files=files,
        archive_s=seconds,
        replay_s=replay_forecast(first["postgresql"]["senders"], user),
        before_s=round((measured.get("flush_s") or 0.0) + max(stops), 3),
    )


def forecast_refusals(forecast: Forecast, timeout: float, deadline: float) -> list[str]:
    """Why a switchover that takes so long must not begin."""
    if forecast.without_writer_s > timeout:
        return [
            f"Nobody could write for about {say_s(forecast.without_writer_s)}, because the stop of {forecast.node} "
            f"would take about {say_s(forecast.stop_s)} ({forecast.parts}); {say_s(timeout)} are allowed "
            f"(backup_ha_switchover_timeout). {_advice(forecast)}, or allow more time."
        ]
    if forecast.before_s + forecast.without_writer_s > deadline:
        return [
            f"What comes before the stop of {forecast.node}, its checkpoints and the workload's stop, would take about "
            f"{say_s(forecast.before_s)}, and the rest {say_s(forecast.without_writer_s)}; {say_s(deadline)} are left "
            "for everything (backup_ha_switchover_deadline). Switch over when less is written, or allow more time."
        ]
    return []


def _advice(forecast: Forecast) -> str:
    if forecast.archive_s > (forecast.checkpoint_s or 0.0) + forecast.replay_s:
        return f"Wait until the archiver of {forecast.node} has caught up"
    if forecast.replay_s > (forecast.checkpoint_s or 0.0):
        return "Wait until the other node has caught up"
    return "Switch over when less is written"


def compare(forecast: dict[str, Any], took: dict[str, float]) -> str:
    """What was expected and what came, as one sentence; none where nothing was stopped."""
    if not forecast or "without_writer_s" not in took:
        return ""
    return (
        f"The stop took {say_s(took['stop_s'])} (forecast: {say_s(forecast['stop_s'])}), and nobody could write for "
        f"{say_s(took['without_writer_s'])} (forecast: {say_s(forecast['without_writer_s'])})."
    )
