"""The demo's steps, in order. Each one does what a user would do, and leaves its output in build/demo."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from demo import tree
from demo.report import Report
from lab import bacula
from measure import access
from measure.child import ChildError
from measure.link import LinkError
from measure.loss import lost_commits
from measure.playbook import ROOT, CommandError, execute, play
from measure.servers import ServerError, Servers
from measure.terminal import Step, Terminal
from measure.watch import Seen, Watched, watch
from measure.writers import Needs, judge

DATA, RESTORED = "/srv/data", "/srv/restored"
# What may go wrong outside this program; anything else is a bug and shall be seen as one.
FAILURES = (CommandError, ServerError, ChildError, LinkError, bacula.BaculaError, TimeoutError)
_POINT_CONSOLE = """
umask 077
sed -E 's/^( *address *= *).*/\\1'"$1"'/I' > /etc/bacula/bconsole.conf
"""


class StoryError(Exception):
    """A step ended, and not as it should have."""


class Story:
    """One run from blank servers to a restored tree."""

    def __init__(self, name: str, subnet: str, directory: Path) -> None:
        self._lab = ["--name", name, "--subnet", subnet]
        self._directory = directory
        self._report = Report()
        self._notes: list[str] = []
        self._terminal = Terminal(total=9)
        self._name = name
        self._inventory = ROOT / "lab" / "inventory.yml"
        self._digests: dict[str, str] = {}

    def tell(self, remove: bool) -> int:
        """Run everything, write report.json and return the exit code: 0 only for a verdict of passed."""
        began = time.monotonic()
        self._directory.mkdir(parents=True, exist_ok=True)
        for old in self._directory.iterdir():
            old.unlink()
        try:
            self._run_steps()
            faults = self._report.faults()
        except (*FAILURES, StoryError) as error:
            faults = [str(error)]  # what was not measured for that reason needs no line of its own
        path = self._directory / "report.json"
        path.write_text(json.dumps(self._report.as_json(faults), indent=2) + "\n", encoding="utf-8")
        self._conclude(faults, path, time.monotonic() - began, remove)
        return 1 if faults else 0

    def _run_steps(self) -> None:
        self._start_lab()
        servers = self._servers = Servers.of(self._inventory)
        self._play(
            "a repository and a server with Bacula", "lab/playbooks/repository.yml", "lab/playbooks/bacula_server.yml"
        )
        self._report.assemble_s = round(self._play("assemble the cluster", "duet.backup_ha.assemble"), 2)
        self._point_console()
        self._back_up()
        old = servers.primary()
        seen = self._switch_over()
        self._judge(seen, old)
        self._restore()
        self._compare()
        self._show_status()

    def _start_lab(self) -> None:
        """Start three blank servers, whatever was there before."""
        with self._terminal.step("image and lab") as step:
            self._run_lab("down", step.show, "--name", self._name)
            self._run_lab("up", step.show, *self._lab)
            self._inventory = Path(self._run_lab("inventory", step.show, *self._lab))
            step.result = "3 blank servers"

    def _play(self, title: str, *playbooks: str) -> float:
        with self._terminal.step(title) as step:
            seconds = 0.0
            for playbook in playbooks:
                name = playbook.rsplit("/", 1)[-1].removesuffix(".yml").removeprefix("duet.backup_ha.")
                log = self._directory / f"{name}.log"
                seconds += play(playbook, self._inventory, log, show=step.show).check().seconds
            return seconds

    def _repository(self, argv: Sequence[str], stdin: str) -> str:
        return self._servers.run(self._servers.repository, argv, stdin)

    def _point_console(self) -> None:
        """Give the repository host a console that asks the Director at the endpoint."""
        servers = self._servers
        config = servers.run(servers.nodes[servers.primary()], ["cat", bacula.CONFIG])
        self._repository(["sh", "-euc", _POINT_CONSOLE, "point", servers.endpoint_name], config)

    def _back_up(self) -> None:
        with self._terminal.step("back up through the endpoint") as step:
            self._digests = tree.digests(self._repository, DATA)
            number = bacula.run_job(self._repository, "BackupTree")
            job = self._wait_for(number, step)
            self._backup = job.jobid
            self._report.backup.files, self._report.backup.bytes = job.files, job.bytes
            step.result = f"{job.files} files, {job.bytes / 1e6:.0f} MB"

    def _wait_for(self, number: int, step: Step) -> bacula.Job:
        def progress(files: int, size: int) -> None:
            step.show(f"job {number}: {files} files, {size / 1e6:.0f} MB")

        job = bacula.wait(self._repository, number, timeout=300, progress=progress)
        if not job.ok:
            raise StoryError(f"the Director says that this job failed: {job}")
        return job

    def _switch_over(self) -> Seen:
        """Switch over while one client writes as fast as it can, another as libpq does, and both nodes are probed."""
        servers = self._servers
        primary = servers.nodes[servers.primary()]
        for address in servers.nodes.values():
            access.admit(servers, address)
        watched = Watched(access.create(servers, primary), servers.endpoint, servers.nodes)
        self._access = watched.access
        with self._terminal.step("switch over while a client writes") as step:

            def switch() -> float:
                log = self._directory / "switchover.log"
                return play("duet.backup_ha.switchover", self._inventory, log, show=step.show).check().seconds

            seconds, seen = watch(switch, watched, self._directory, {"quick": 2, "patient": 20})
            self._report.switchover.playbook_s = round(seconds, 2)
            step.result = f"playbook {seconds:.1f} s"
        return seen

    def _judge(self, seen: Seen, old: str) -> None:
        """Turn what was seen into figures; lost commits are looked for on the new primary."""
        servers, result = self._servers, self._report.switchover
        new = servers.primary()
        if new == old:
            raise StoryError(f"{old} was the primary before the switchover and is the primary after it")
        with self._terminal.step("compare commits") as step:
            client = seen.clients["quick"]
            present = access.written(self._access, servers.nodes[new], client.run)
            loss = lost_commits(client.attempts, present)
            verdict = judge(
                seen.probes, tuple(servers.nodes), seen.begin, seen.end, Needs(accepted_on=frozenset({old, new}))
            )
            result.lost_commits, result.two_writers = loss.count, verdict.two_writers
            result.write_gap_ms = None if client.gap.gap_ms is None else round(client.gap.gap_ms, 1)
            step.result = f"{loss.acknowledged} acknowledged, {loss.count} lost"
        self._notes += [client.gap.why] if client.gap.why else []
        self._notes += verdict.why
        patient = seen.clients["patient"].gap
        probes = ", ".join(f"{name} {count.probes}" for name, count in verdict.counts.items())
        self._notes += [
            f"{old} -> {new}; {client.gap.acknowledged} commits acknowledged during the playbook, "
            f"{client.gap.doubt} sent and never answered, usually one every {client.gap.usual_ms or 0:.0f} ms at most",
            f"a client that connects as libpq does saw a gap of {patient.why or f'{patient.gap_ms:.0f} ms'}",
            f"writes tried on each node at its own address meanwhile: {probes}",
        ]

    def _restore(self) -> None:
        with self._terminal.step("restore with the new Director") as step:
            self._repository(["rm", "-rf", RESTORED], "")
            number = bacula.restore_job(self._repository, client="repository-fd", where=RESTORED, jobid=self._backup)
            job = self._wait_for(number, step)
            step.result = f"{job.files} files, {job.bytes / 1e6:.0f} MB"

    def _compare(self) -> None:
        with self._terminal.step("compare checksums") as step:
            restored = tree.digests(self._repository, RESTORED + DATA)
            different = tree.mismatched(self._digests, restored)
            self._report.restore.files, self._report.restore.mismatched = len(restored), len(different)
            step.result = f"{len(restored)} files, {len(different)} differ"
        self._notes += [f"differs: {path}" for path in different[:5]]

    def _show_status(self) -> None:
        log = self._directory / "status.log"
        with self._terminal.step("status") as step:
            ran = play("duet.backup_ha.status", self._inventory, log, show=step.show)
        self._terminal.say("\n" + status_table(log.read_text(encoding="utf-8")))
        ran.check()

    def _conclude(self, faults: list[str], path: Path, seconds: float, remove: bool) -> None:
        say, found = self._terminal.say, self._report
        say()
        for note in self._notes:
            say(f"  {note}")
        if not faults:
            say(
                f"  write gap {found.switchover.write_gap_ms:.0f} ms, lost commits {found.switchover.lost_commits}, "
                f"two writers {found.switchover.two_writers}, files that differ {found.restore.mismatched}"
            )
        for fault in faults:
            say(f"FAILED: {fault}")
        say(f"{'failed' if faults else 'passed'} after {seconds:.0f} s; report: {path}")
        if remove:
            self._run_lab("down", lambda _: None, "--name", self._name)
            return
        say(f"The lab stays up: .venv/bin/ansible-playbook -i {self._inventory} duet.backup_ha.status")
        say(f"To remove it: python3 lab/lab.py down --name {self._name}")

    def _run_lab(self, verb: str, show: Callable[[str], None], *words: str) -> str:
        """Run the lab's program; returns what it printed."""
        command = [sys.executable, str(ROOT / "lab" / "lab.py"), verb, *words]
        ran = execute(command, self._directory / f"lab-{verb}.log", show).check()
        return ran.log.read_text(encoding="utf-8").strip()


def status_table(output: str) -> str:
    """Cut what the status playbook tells a person out of Ansible's words around it; all of it where that is absent."""
    found = re.search(r"^Cluster .*?(?=^(?:ok|changed|fatal|failed): |^PLAY RECAP)", output, re.MULTILINE | re.DOTALL)
    return found[0].rstrip() if found else output
