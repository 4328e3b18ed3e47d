"""Run playbooks as a user would, and read what they said."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parents[2]
TAIL = 40
_RECAP = re.compile(r"^(\S+)\s+: (ok=\d+ .*)$", re.MULTILINE)
_VERDICT = re.compile(r"^Cluster \S+: ([A-Z]+)$", re.MULTILINE)
_STATS = re.compile(r"^\tRUN: (\{.*\})$", re.MULTILINE)
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?:.* : )?(.*?)\] \**$")


@dataclass(frozen=True)
class Outcome:
    """A finished playbook: its exit code, how many seconds it took, all that it printed, and where that is kept."""

    code: int
    seconds: float
    output: str = field(repr=False)
    log: Path

    @property
    def said(self) -> str:
        """The output in one line, because the terminal's line breaks are no part of a sentence."""
        return " ".join(self.output.split())

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """The counts of the last lines, per host: ok, changed, unreachable, failed …"""
        return {
            host: {key: int(count) for key, count in (pair.split("=") for pair in counts.split())}
            for host, counts in _RECAP.findall(self.output)
        }

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, per host."""
        return {host: counts["changed"] for host, counts in self.recap.items()}

    @property
    def verdict(self) -> str:
        """The word that a status playbook gave as a table."""
        found = _VERDICT.search(self.output)
        assert found, f"no verdict in {self}"
        return found[1].lower()

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document that a status playbook printed."""
        start = re.search(r"^\{$", self.output, re.MULTILINE)
        assert start, f"no JSON in {self}"
        return cast("dict[str, Any]", json.JSONDecoder().raw_decode(self.output[start.start() :])[0])

    @property
    def stats(self) -> dict[str, Any]:
        """What it says to programs, per cluster; it has to be told to show that, and as JSON."""
        found = _STATS.search(self.output)
        assert found, f"no statistics in {self}"
        return cast("dict[str, Any]", json.loads(found[1])["backup_ha"])

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks that began, without their roles'."""
        return [found[1] for found in map(_TASK.match, self.output.splitlines()) if found]

    def check(self) -> Outcome:
        """Return this; AssertionError with the last lines when the playbook failed."""
        assert self.code == 0, str(self)
        return self

    def __str__(self) -> str:
        lines = self.output.splitlines()[-TAIL:]
        return "\n    ".join([f"exit code {self.code} after {self.seconds:.1f} s, all of it in {self.log}:", *lines])


@dataclass
class Running:
    """A playbook under way, in a process group of its own, as if in another terminal."""

    process: subprocess.Popen[str]
    log: Path
    began: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self.log.open("w", encoding="utf-8") as file:
            for line in self.process.stdout or ():
                file.write(line)
                file.flush()
                with self._news:
                    self.lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def await_line(self, wanted: Callable[[str], bool], timeout: float) -> None:
        """Wait until the playbook prints such a line. AssertionError when it ends or time runs out before."""
        deadline = time.monotonic() + timeout
        seen = 0
        with self._news:
            while True:
                if any(wanted(line) for line in self.lines[seen:]):
                    return
                seen = len(self.lines)
                left = deadline - time.monotonic()
                assert left > 0 and self._reader.is_alive(), f"the line never came: {self.log}"
                self._news.wait(min(left, 0.5))

    def await_task(self, name: str, timeout: float = 180.0) -> None:
        """Wait until a task begins, named without its role."""
        self.await_line(lambda line: bool((task := _TASK.match(line)) and task[1] == name), timeout)

    def kill(self) -> None:
        """End it and all of its processes with SIGKILL: nothing of it can clean up."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(10)

    def wait(self, timeout: float = 300.0) -> Outcome:
        """Wait for the end."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the playbook did not end within {timeout:.0f} s: {self.log}") from None
        seconds = time.monotonic() - self.began
        self._reader.join(10)
        return Outcome(code, seconds, "".join(self.lines), self.log)


def start(playbook: str, inventory: Path, log: Path, *options: str, **environment: str) -> Running:
    """Start a playbook by path or by full name."""
    log.parent.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).with_name("ansible-playbook")
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "200"}
    process = subprocess.Popen(
        [str(program), "-i", str(inventory), playbook, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=ROOT,
        env=os.environ | settings | environment,
        start_new_session=True,
    )
    return Running(process, log)
