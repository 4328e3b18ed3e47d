"""Run the scenarios on labs of their own and remove them: `.venv/bin/python tests/scenarios/run.py --help`.

Two workers share the files, each with a lab for itself: most of a scenario's time is spent waiting for a server.
Tests that are marked `later` cost more than they find from day to day: they run with `--all`, or when they are named.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent
BUILD = ROOT / "build/scenarios"
# What begins with blank servers, what brings a lab of its own, and as much more as takes half of the time; all other
# files share a cluster, in this order.
ON_SERVERS = [
    "test_lab.py",
    "test_without_packages.py",
    "test_measuring.py",
    "test_assembly_refused.py",
    "test_assemble_existing.py",
    "test_last_copy.py",
    "test_interrupted_assembly.py",
    "test_rejoin.py",
    "test_outcomes.py",
    "test_config_stream.py",
    "test_events.py",
    "test_forecast.py",
    "test_ipv6.py",
    "test_required.py",
    "test_full_disk.py",
    "test_molecule.py",
]
FIRST_ON_CLUSTER = ["test_assemble_blank.py", "test_snapshot.py", "test_status.py"]
# Of what `make faults` breaks, the rows that have found the most.
FAULTS_ON_CLUSTER = ["test_switchover.py::test_broken_at[primary-stop_primary-primary silent]"]
FAULTS_ON_SERVERS = ["test_assemble.py::test_broken_at[node1-promote-primary killed]"]
NOTHING_SELECTED = 5  # pytest's exit code
SHOWN = (" PASSED", " FAILED", " ERROR", " SKIPPED")
_printing = threading.Lock()


@dataclass
class Count:
    """How many tests ended how."""

    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)


@dataclass
class Worker:
    """One pytest with its own lab; `code` is its exit code, None before it ended."""

    name: str
    subnet: ipaddress.IPv4Network
    files: Sequence[str]
    process: subprocess.Popen[str] | None = None
    code: int | None = None

    @property
    def log(self) -> Path:
        return BUILD / f"{self.name}.log"

    @property
    def report(self) -> Path:
        return BUILD / f"{self.name}.xml"

    def run(self, options: Sequence[str]) -> None:
        """Run the files, show a line per test, and keep everything in the log."""
        paths = [str(FOLDER / file) for file in self.files]
        style = ["-v", "-o", "console_output_style=classic", f"--junitxml={self.report}"]
        self.report.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *style, *options, *paths],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=ROOT,
            env=os.environ | {"DUET_LAB": self.name, "DUET_LAB_SUBNET": str(self.subnet), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        with self.log.open("w", encoding="utf-8") as log:
            for line in self.process.stdout or ():
                log.write(line)
                log.flush()
                if line.startswith("tests/") and any(word in line for word in SHOWN):
                    say(f"{self.name}  {line.strip().removeprefix('tests/scenarios/')}")
        self.code = self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def count(self) -> Count:
        """Read pytest's report. Without one nothing has passed."""
        found = Count()
        if not self.report.exists():
            return found
        for case in ElementTree.parse(self.report).iter("testcase"):
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                found.failed += 1
            elif skipped is not None:
                found.skipped.append(f"{case.get('name')}: {skipped.get('message')}")
            else:
                found.passed += 1
        return found

    def failures(self) -> str:
        """What pytest said about failures, if there were any."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        begin = min((at for at in (text.find("= ERRORS ="), text.find("= FAILURES =")) if at >= 0), default=-1)
        if begin < 0:
            return "" if self.code in (0, NOTHING_SELECTED) else "\n".join(text.splitlines()[-30:])
        return text[begin:]


def say(line: str) -> None:
    with _printing:
        print(line, flush=True)


def lab(verb: str, name: str) -> None:
    command = [sys.executable, str(ROOT / "lab/lab.py"), verb, "--name", name]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)


def remove_labs(all_workers: list[Worker], but_the_workers: bool = False) -> None:
    """Remove the workers' labs, and those of single scenarios that were interrupted."""
    for worker in all_workers:
        if not but_the_workers:
            lab("down", worker.name)
        lab("down", f"{worker.name}b")


def on_cluster() -> list[str]:
    """Every file that is not in the other list, so that none is forgotten."""
    found = sorted(path.name for path in FOLDER.glob("test_*.py") if path.name not in ON_SERVERS)
    order = sorted(found, key=lambda name: FIRST_ON_CLUSTER.index(name) if name in FIRST_ON_CLUSTER else 99)
    return order + [f"../faults/{row}" for row in FAULTS_ON_CLUSTER]


def workers(options: argparse.Namespace) -> list[Worker]:
    """The two workers, on neighbouring subnets; of the files named, if any, each takes its own."""
    first = ipaddress.IPv4Network(options.subnet)
    second = ipaddress.IPv4Network((int(first.broadcast_address) + 1, first.prefixlen))
    wanted = {Path(file).name for file in options.files}
    made = []
    on_servers = ON_SERVERS + [f"../faults/{row}" for row in FAULTS_ON_SERVERS]
    for index, (subnet, files) in enumerate(((first, on_cluster()), (second, on_servers)), 1):
        chosen = [file for file in files if not wanted or file in wanted]
        if chosen:
            made.append(Worker(f"{options.name}{index}", subnet, chosen))
    return made


def conclude(all_workers: list[Worker], seconds: float) -> int:
    """Print what failed, why tests were skipped, and the counts; return the exit code."""
    counts = [worker.count() for worker in all_workers]
    for worker in all_workers:
        if text := worker.failures():
            say(f"\n{worker.name}: {text}")
    for reason in (line for count in counts for line in count.skipped):
        say(f"skipped {reason}")
    passed, failed = sum(count.passed for count in counts), sum(count.failed for count in counts)
    skipped = sum(len(count.skipped) for count in counts)
    good = passed > 0 and failed == 0 and all(worker.code in (0, NOTHING_SELECTED) for worker in all_workers)
    say(
        f"scenarios: {'passed' if good else 'FAILED'}: {passed} passed, {failed} failed, {skipped} skipped "
        f"in {seconds / 60:.1f} min; logs of every playbook in {BUILD}"
    )
    return 0 if good else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("files", nargs="*", help="only these test files")
    parser.add_argument("-k", dest="expression", help="only tests that match, as for pytest")
    parser.add_argument("--all", action="store_true", help="also the tests that are marked `later`")
    parser.add_argument("--name", default="scen", help="the labs' name; 1 and 2 are appended (%(default)s)")
    parser.add_argument(
        "--subnet", default="198.18.80.0/24", help="the first lab's; the next one follows (%(default)s)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the labs up, and use them again the next time")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if os.geteuid() != 0:
        print("scenarios: the labs need root: run the same command with sudo", file=sys.stderr)
        return 1
    BUILD.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    running = workers(options)
    selection = ["-k", options.expression] if options.expression else []
    if not (options.all or options.files or options.expression):
        selection = ["-m", "not later"]
    # The image is made once, before two labs ask for it.
    subprocess.run([sys.executable, str(ROOT / "lab/lab.py"), "image"], stdin=subprocess.DEVNULL, check=True)
    if not options.keep:
        remove_labs(running)  # what an interrupted run has left
    threads = [threading.Thread(target=worker.run, args=(selection,), daemon=True) for worker in running]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for worker in running:
            worker.stop()
        remove_labs(running, but_the_workers=options.keep)
    return conclude(running, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
