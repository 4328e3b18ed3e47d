"""Checksums of every file in a tree on a server, and how two trees differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Run = Callable[[Sequence[str], str], str]

_LIST = 'cd "$1" && find . -type f -print0 | xargs -0 -r sha256sum -z'


def digests(run: Run, root: str) -> dict[str, str]:
    """SHA-256 of each regular file below `root`, by its path from there."""
    return parse(run(["sh", "-euc", _LIST, "digests", root], ""))


def parse(listed: str) -> dict[str, str]:
    """Read what `sha256sum -z` printed: no escapes, so any file name may occur."""
    entries = (entry.split("  ", 1) for entry in listed.split("\0") if entry)
    return {path: digest for digest, path in entries}


def mismatched(original: Mapping[str, str], restored: Mapping[str, str]) -> list[str]:
    """Paths that are missing, too many or of another content."""
    return sorted(path for path in {*original, *restored} if original.get(path) != restored.get(path))
