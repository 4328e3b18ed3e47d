"""Reading what Bacula's console says; the answers are real ones, shortened."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab import bacula

GREETING = "Connecting to Director localhost:9101\n1000 OK: 103 node1-dir Version: 9.6.7 (10 December 2020)\n"
ENDED = """\
llist jobid=3
Using Catalog "MyCatalog"
           jobid: 3
             job: BackupTree.2026-11-22_16.03.46_10
            name: BackupTree
            type: B
           level: F
       jobstatus: T
        jobfiles: 1,704
        jobbytes: 220,101,978
       joberrors: 0
         comment:
"""
RUNNING = ENDED.replace("jobstatus: T", "jobstatus: R").replace("1,704", "0").replace("220,101,978", "0")
CLIENT = """\
Running Jobs:
JobId 2 Job Other.2026-11-22_16.04.04_11 is running.
    Files=9 Bytes=9 AveBytes/sec=9 LastBytes/sec=9 Errors=0
JobId 3 Job BackupTree.2026-11-22_16.03.46_10 is running.
      Full Backup Job started: 22-Nov-26 16:04
    Files=456 Bytes=75,893,045 AveBytes/sec=75,893,045 LastBytes/sec=75,893,045 Errors=0
"""


class Console:
    """Answers in order; what it was asked is in `lines`."""

    def __init__(self, *answers: str) -> None:
        self.answers = [*answers]
        self.lines: list[str] = []

    def __call__(self, argv: Sequence[str], stdin: str) -> str:
        assert "bconsole" in argv
        self.lines += stdin.splitlines()
        return GREETING + self.answers.pop(0)


def test_an_ended_job() -> None:
    job = bacula.job(Console(ENDED), 3)
    assert (job.jobid, job.name, job.files, job.bytes, job.ended, job.ok) == (
        3,
        "BackupTree",
        1704,
        220101978,
        True,
        True,
    )


@pytest.mark.parametrize(("status", "ended", "ok"), [("R", False, False), ("C", False, False), ("f", True, False)])
def test_states(status: str, ended: bool, ok: bool) -> None:
    job = bacula.parse_job(ENDED.replace("jobstatus: T", f"jobstatus: {status}"))
    assert (job.ended, job.ok) == (ended, ok)


def test_a_job_with_errors_is_not_ok() -> None:
    assert not bacula.parse_job(ENDED.replace("joberrors: 0", "joberrors: 1")).ok


def test_progress_is_that_of_the_job() -> None:
    assert bacula.parse_progress(CLIENT, 3) == (456, 75893045)
    assert bacula.parse_progress("No Jobs running.", 3) == (0, 0)


def test_waiting_shows_progress() -> None:
    seen: list[tuple[int, int]] = []
    console = Console(RUNNING + CLIENT, ENDED)
    job = bacula.wait(console, 3, timeout=5, progress=lambda *done: seen.append(done), interval=0)
    assert (job.ok, seen) == (True, [(456, 75893045)])
    assert console.lines.count("status client=repository-fd") == 2


def test_waiting_ends_in_time() -> None:
    with pytest.raises(TimeoutError, match="job 3 has not ended"):
        bacula.wait(Console(RUNNING), 3, timeout=-1)


@pytest.mark.parametrize("jobid", [None, 7])
def test_jobs_are_queued(jobid: int | None) -> None:
    console = Console("Job queued. JobId=12\n", "Job queued. JobId=13\n")
    assert bacula.run_job(console, "BackupTree") == 12
    assert bacula.restore_job(console, client="c", where="/w", jobid=jobid) == 13


def test_other_answers_are_errors() -> None:
    with pytest.raises(bacula.BaculaError, match="not queued"):
        bacula.run_job(Console('Job "Nope" not found'), "Nope")
    with pytest.raises(bacula.BaculaError, match="no such job"):
        bacula.job(Console("No results to list."), 99)
    with pytest.raises(bacula.BaculaError, match="did not answer"):
        bacula.job(lambda _argv, _stdin: "Connecting to Director", 1)
