"""Let clients write and observers probe while something happens to the cluster, and say what they saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from measure import probe, records, writer
from measure.access import Access
from measure.child import Child
from measure.gap import Gap, write_gap
from measure.records import Attempt, Connect, Probe

FAST_MS = 2.0
SETTLE_S = 1.0  # of steady writing before and after, so that the gap has edges
T = TypeVar("T")


@dataclass(frozen=True)
class Watched:
    """Who is watched: the address that clients use, and each node's own address by name (none: no probes)."""

    access: Access
    endpoint: str
    nodes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Client:
    """What one writer saw."""

    run: str
    attempts: Sequence[Attempt]
    connects: Sequence[Connect]
    gap: Gap

    @property
    def silent(self) -> int:
        """Attempts to connect that met no answer at all, from the first loss of the connection on."""
        return sum(connect.silent for connect in self.connects[1:])


@dataclass(frozen=True)
class Seen:
    """What everyone saw between `begin` and `end`, monotonic seconds."""

    begin: float
    end: float
    clients: dict[str, Client]
    probes: Sequence[Probe]


def watch(
    during: Callable[[], T], watched: Watched, directory: Path, paces_ms: Mapping[str, float] | None = None
) -> tuple[T, Seen]:
    """Run `during` while one writer per mode works, at its pace in ms, and every node is probed.

    Raises ChildError when a server answers nobody even before it starts, and whatever `during` raises.
    """
    name = f"{time.time_ns():x}"
    paces_ms = paces_ms or {"quick": FAST_MS}
    with ExitStack() as stack:
        writers = {
            mode: stack.enter_context(_writer(watched, f"{name}-{mode}", mode, pace, directory))
            for mode, pace in paces_ms.items()
        }
        probers = [
            stack.enter_context(_prober(watched, node, address, directory)) for node, address in watched.nodes.items()
        ]
        for child in [*writers.values(), *probers]:
            child.wait_until_answered()
        time.sleep(SETTLE_S)
        begin = time.monotonic()
        result = during()
        end = time.monotonic()
        time.sleep(SETTLE_S)
    clients = {mode: _client(f"{name}-{mode}", child.path, begin, end) for mode, child in writers.items()}
    probes = [found for child in probers for found in records.read(child.path, Probe)]
    return result, Seen(begin, end, clients, probes)


def _writer(watched: Watched, run: str, mode: str, pace_ms: float, directory: Path) -> Child:
    spec = writer.Spec(watched.access.conninfo(watched.endpoint), run, pace_ms, mode)
    return Child("measure.writer", spec, directory / f"writer-{mode}.jsonl")


def _prober(watched: Watched, node: str, address: str, directory: Path) -> Child:
    spec = probe.Spec(watched.access.conninfo(address), node)
    return Child("measure.probe", spec, directory / f"probe-{node}.jsonl")


def _client(run: str, path: Path, begin: float, end: float) -> Client:
    attempts = records.read(path, Attempt)
    return Client(run, attempts, records.read(path, Connect), write_gap(attempts, begin, end))
