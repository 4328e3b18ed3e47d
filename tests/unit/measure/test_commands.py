# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands with a log and a live view, and the lines a person sees."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from measure.playbook import CommandError, execute
from measure.terminal import Terminal


def test_output_goes_to_the_log_and_to_the_caller(tmp_path: Path) -> None:
    lines: list[str] = []
    command = [sys.executable, "-c", "import sys; print('one'); print('two', file=sys.stderr)"]
    ran = execute(command, tmp_path / "made" / "it.log", lines.append).check()
    # A line that arrives in two pieces is told twice, begun and whole.
    assert sorted(set(lines)) == ["one", "two"]
    assert sorted(ran.log.read_text().split()) == ["one", "two"]


def test_a_begun_line_is_told_before_it_ends(tmp_path: Path) -> None:
    said: list[str] = []
    code = "import sys, time; sys.stdout.write('building ...'); sys.stdout.flush(); time.sleep(0.3); print(' done')"
    execute([sys.executable, "-c", code], tmp_path / "it.log", said.append)
    assert said[0].startswith("building")
    assert said[0] != said[-1] == "building ... done"


def test_a_failure_shows_the_tail_and_names_the_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print(*range(100), sep='\\n'); raise SystemExit(3)"]
    ran = execute(command, tmp_path / "it.log", lambda _: None)
    with pytest.raises(CommandError, match="it ended with 3") as caught:
        ran.check()
    assert "99" in str(caught.value)
    assert "\n    50\n" not in str(caught.value)
    assert str(ran.log) in str(caught.value)


def test_each_step_is_one_line_with_its_result() -> None:
    stream = io.StringIO()
    terminal = Terminal(2, stream)
    with terminal.step("copy") as step:
        step.show("half")
        step.result = "1500 files"
    with pytest.raises(ValueError, match="x"), terminal.step("compare"):
        raise ValueError("x")
    first, second = stream.getvalue().splitlines()
    assert first.startswith("[1/2] copy")
    assert first.endswith("s  1500 files")
    assert second.startswith("[2/2] compare")
    assert second.endswith("failed")
