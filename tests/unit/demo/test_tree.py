# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two trees compared by checksum."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from demo.tree import digests, mismatched

NAMES = ["plain", "with blank.txt", "back\\slash", "new\nline", "-dash", "deep/er/file", "日本"]


def local(argv: object, stdin: str) -> str:
    assert isinstance(argv, list)
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=True).stdout


def make(root: Path) -> Path:
    for name in NAMES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    return root


def test_equal_trees_do_not_differ_whatever_the_names(tmp_path: Path) -> None:
    one, two = (digests(local, str(make(tmp_path / name))) for name in ("one", "two"))
    assert set(one) == {f"./{name}" for name in NAMES}
    assert mismatched(one, two) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    one = digests(local, str(make(tmp_path / "one")))
    (make(tmp_path / "two") / name).write_text("other")
    assert mismatched(one, digests(local, str(tmp_path / "two"))) == [f"./{name}"]


@pytest.mark.parametrize(
    ("original", "restored", "expected"),
    [
        ({"a": "1"}, {}, ["a"]),
        ({}, {"a": "1"}, ["a"]),
        ({"a": "1", "b": "2"}, {"a": "2", "b": "2"}, ["a"]),
        ({"a": "1", "b": "2"}, {"a": "2", "b": "1"}, ["a", "b"]),
    ],
)
def test_missing_spare_and_exchanged(original: dict[str, str], restored: dict[str, str], expected: list[str]) -> None:
    assert mismatched(original, restored) == expected


def test_an_empty_tree_has_no_digests(tmp_path: Path) -> None:
    assert digests(local, str(tmp_path)) == {}
