"""Drive a Bacula Director through its console, for the demo and the tests.

Every function takes `run`, a callable that runs a command on some host and returns what it wrote to
standard output: `run(argv, stdin) -> stdout`. It raises when the command fails. Which host that is does
not matter to this module: the console there asks the Director named in `CONFIG`.

    job = wait(run, run_job(run, "BackupTree"), timeout=120)
    assert job.ok, job
    back = wait(run, restore_job(run, client="repository-fd", where="/srv/restore"), timeout=120)
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Run = Callable[[Sequence[str], str], str]
Progress = Callable[[int, int], None]

CONFIG = "/etc/bacula/bconsole.conf"
PATIENCE = 60  # seconds for one answer; building the tree of a large restore takes a while

# Bacula's one-letter states of a job that will not change any more.
_GOOD = frozenset("TW")
_ENDED = _GOOD | frozenset("ABEeDf")


class BaculaError(Exception):
    """The console answered something else than was asked for; carries its whole answer."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(f"{message}; the console said:\n{output.strip()}")
        self.output = output


@dataclass(frozen=True)
class Job:
    """One row of the catalog's Job table."""

    jobid: int
    name: str
    kind: str  # B backup, R restore
    level: str
    status: str  # T ended well, W with warnings, E and f in error, A cancelled, R running, C waiting
    files: int
    bytes: int
    errors: int

    @property
    def ended(self) -> bool:
        return self.status in _ENDED

    @property
    def ok(self) -> bool:
        return self.status in _GOOD and self.errors == 0


def console(run: Run, *lines: str, config: str = CONFIG) -> str:
    """Send `lines` to the console and return its whole answer (greeting included).

    The console itself waits for a Director that is not there yet, asking every 5 seconds.
    """
    output = run(["timeout", str(PATIENCE), "bconsole", "-n", "-c", config], "\n".join([*lines, "quit", ""]))
    if "1000 OK" not in output:
        raise BaculaError("the Director did not answer", output)
    return output


def run_job(run: Run, name: str, *, level: str = "Full") -> int:
    """Queue the backup job `name` and return its JobId without waiting for it."""
    return _queued(console(run, f"run job={name} level={level} yes"))


def restore_job(run: Run, *, client: str, where: str, jobid: int | None = None) -> int:
    """Queue a restore of a whole backup to the folder `where` on `client` and return its JobId.

    Without `jobid`, the client's latest backups of the file set `Tree` are restored.
    """
    source = "fileset=Tree select current" if jobid is None else f"jobid={jobid}"
    return _queued(console(run, f"restore client={client} {source} all where={where} done yes"))


def job(run: Run, jobid: int) -> Job:
    """Return the job as the catalog has it. Raise BaculaError when there is none."""
    return parse_job(console(run, f"llist jobid={jobid}"))


def wait(
    run: Run,
    jobid: int,
    *,
    timeout: float,
    progress: Progress | None = None,
    client: str = "repository-fd",
    interval: float = 0.25,
) -> Job:
    """Wait until job `jobid` has ended, well or not, and return it.

    While it runs, `progress(files, bytes)` is called with what the client has done so far, every
    `interval` seconds. Raise TimeoutError, naming the job's last state, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    look = [f"llist jobid={jobid}"] + ([f"status client={client}"] if progress is not None else [])
    while True:
        output = console(run, *look)
        found = parse_job(output)
        if found.ended:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"job {jobid} has not ended after {timeout} s: {found}")
        if progress is not None:
            progress(*parse_progress(output, jobid))
        time.sleep(interval)


def parse_job(output: str) -> Job:
    """Read the answer to `llist jobid=N`: one `column: value` a line, thousands parted by commas."""
    row = {column: value.strip() for column, value in re.findall(r"^ *(\w+): ?(.*)$", output, re.MULTILINE)}
    try:
        numbers = [_number(row[c]) for c in ("jobid", "jobfiles", "jobbytes", "joberrors")]
        texts = [row[c] for c in ("name", "type", "level", "jobstatus")]
    except (KeyError, ValueError):
        raise BaculaError("there is no such job", output) from None
    return Job(numbers[0], *texts, *numbers[1:])


def parse_progress(output: str, jobid: int) -> tuple[int, int]:
    """Return (files, bytes) of running job `jobid` out of the answer to `status client`, or zeros."""
    found = re.search(rf"^JobId {jobid} .*?\bFiles=([\d,]+) Bytes=([\d,]+)", output, re.MULTILINE | re.DOTALL)
    return (_number(found[1]), _number(found[2])) if found else (0, 0)


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _queued(output: str) -> int:
    found = re.search(r"Job queued\. JobId=(\d+)", output)
    if found is None:
        raise BaculaError("the job was not queued", output)
    return int(found[1])
