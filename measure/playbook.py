"""Run a playbook as a user would, keep its output in a file, and tell which task it is at."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

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


def execute(command: list[str], log: Path, line: Callable[[str], None]) -> Ran:
    """Run a command at the top level, its output to a file and each line of it to `line`, too."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=ROOT,
            env=environment,
        )
        for text in cast("IO[str]", process.stdout):
            file.write(text)
            file.flush()
            line(text.rstrip())
        code = process.wait()
    return Ran(code, time.monotonic() - began, log)


def _tell(line: str, show: Callable[[str], None]) -> None:
    task = _TASK.match(line)
    if task:
        # An included role's name before the task's says nothing to who waits.
        show(task[1].rsplit(" : ", 1)[-1])
    elif "%" in line and not line.startswith((" ", "ok:", "changed:", "skipping:")):
        show(line)
