"""Run a playbook as a user would, keep its output in a file, and tell which task it is at."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parent.parent
TAIL = 25
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER|PLAY) \[(.*)\] \**$")


class CommandError(Exception):
    """A command failed; the message ends with the last lines of its output and where all of it is."""


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    seconds: float
    log: Path

    def check(self) -> Ran:
        """Return this, or raise CommandError if the command failed."""
        if self.code:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
            text = "\n".join(f"    {line}" for line in lines)
            raise CommandError(f"{self.log.stem} ended with {self.code}:\n{text}\nall of it: {self.log}")
        return self


def play(playbook: str, inventory: Path, log: Path, *options: str, show: Callable[[str], None] = lambda _: None) -> Ran:
    """Run a playbook by path or full name; `show` is told each task's name as it begins."""
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [str(program), "-i", str(inventory), playbook, *options]
    return execute(command, log, lambda line: _tell(line, show))


def execute(command: list[str], log: Path, show: Callable[[str], None]) -> Ran:
    """Run a command at the top level, its output to a file; `show` is told each line, begun ones too."""
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("wb") as file, _start(command) as process:
        line = b""
        # Not by lines: who says "building ..." and goes on in the same line a minute later shall be heard at once.
        while piece := cast("io.BufferedReader", process.stdout).read1():
            file.write(piece)
            file.flush()
            *ended, line = (line + piece).split(b"\n")
            for text in filter(None, [*ended, line]):
                show(text.decode(errors="replace").rstrip())
    return Ran(process.returncode, time.monotonic() - began, log)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    quiet, pipe, same = subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(command, stdin=quiet, stdout=pipe, stderr=same, cwd=ROOT, env=environment)


def _tell(line: str, show: Callable[[str], None]) -> None:
    task = _TASK.match(line)
    if task:
        # An included role's name before the task's says nothing to who waits.
        show(task[1].rsplit(" : ", 1)[-1])
    elif "%" in line and not line.startswith((" ", "ok:", "changed:", "skipping:")):
        show(line)
