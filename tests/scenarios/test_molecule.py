"""Molecule's scenario, on the lab that it makes for itself and removes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.playbook import ROOT
from tests.scenarios.support import run

TIMEOUT_S = 600.0
TAIL_LINES = 60
LOG = ROOT / "build/scenarios/molecule.log"
PROGRAMS = Path(sys.executable).parent


def test_molecule_s_default_scenario_passes_and_leaves_nothing_behind() -> None:
    try:
        code = molecule("test", TIMEOUT_S)
        assert code == 0, f"`molecule test` ended with {code}: {tail()}"
    finally:
        molecule("destroy", 60.0)
    left = [str(path) for path in (ROOT / "build/lab/mol", Path("/sys/class/net/lab-mol")) if path.exists()]
    left += run("podman", "ps", "--all", "--quiet", "--filter", "label=test.lab.name=mol").split()
    assert not left, f"left behind: {left}"


def molecule(command: str, timeout: float) -> int:
    """Run a command of Molecule's and return its exit code; its words go to LOG. Time over fails the test."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    settings = {"PATH": path, "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("a" if command == "destroy" else "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [str(PROGRAMS / "molecule"), command, "--no-command-borders"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | settings,
            start_new_session=True,
        )
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            # Ansible and what it started, too: they would go on with servers that are being removed.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            pytest.fail(f"`molecule {command}` did not end within {timeout:.0f} s: {tail()}")


def tail() -> str:
    """The end of the log, under its name."""
    lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join([str(LOG), *lines])
