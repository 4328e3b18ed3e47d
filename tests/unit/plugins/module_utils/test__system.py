# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands, processes and files, with the real system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _system
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, DeadlineError
from ansible_collections.duet.backup_ha.plugins.module_utils._system import (
    remove_durably,
    run,
    signal_and_wait,
    unit_states,
    write_durably,
)


def power_cut(*_paths: object) -> None:
    raise OSError("power cut")


def test_a_command_speaks_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run(["sh", "-c", "echo $LC_ALL"]) == "C\n"


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(BackupHaError, match=r"'sh -c echo no >&2; exit 3' failed with exit code 3: no$"):
        run(["sh", "-c", "echo no >&2; exit 3"])
    with pytest.raises(BackupHaError, match="exit code 1: said on standard output"):
        run(["sh", "-c", "echo said on standard output; exit 1"])


def test_a_failure_may_be_expected() -> None:
    assert run(["sh", "-c", "echo out; exit 3"], check=False) == "out\n"


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(BackupHaError, match="nosuchcommand is not installed"):
        run(["nosuchcommand"], check=False)


def test_a_command_that_hangs_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineError, match="'sleep 30' did not end within 0 s"):
        run(["sleep", "30"], timeout=0.1)
    assert time.monotonic() - began < 5


SHOWN = """\
Id=backup-ha-primary.target
LoadState=loaded
ActiveState=active
SubState=active
UnitFileState=static

Id=bacula-director.service
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=disabled

Id=nosuch.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
"""


def test_states_of_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_system, "run", lambda _argv: SHOWN)
    states = unit_states(["backup-ha-primary.target", "bacula-director.service", "nosuch.service"])
    assert [state["active"] for state in states.values()] == ["active", "failed", "not-found"]
    assert states["bacula-director.service"] == {"active": "failed", "sub": "failed", "enabled": "disabled"}


def test_no_unit_is_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_system, "run", lambda _argv: pytest.fail("systemctl show without units shows all of them"))
    assert unit_states([]) == {}


def child(code: str) -> subprocess.Popen[str]:
    """A process that says when it is ready for a signal."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "ready\n"
    return process


WAITS = "import signal, time; signal.signal(signal.SIGINT, signal.{}); print('ready', flush=True); time.sleep(60)"


def test_the_end_of_a_unit_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter(["activating", "active", "deactivating", "not-found"])
    monkeypatch.setattr(_system, "unit_states", lambda units: {units[0]: {"active": next(states)}})
    _system.await_end("some.service")
    assert list(states) == []


def test_the_end_of_a_unit_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_system, "unit_states", lambda units: {units[0]: {"active": "active"}})
    with pytest.raises(DeadlineError, match=r"some\.service has not ended after 0 s; journalctl -u some\.service"):
        _system.await_end("some.service", limit=0.0)


def test_a_process_that_ends_is_noticed_at_once() -> None:
    process = child(WAITS.format("SIG_DFL"))
    began = time.monotonic()
    assert signal_and_wait(process.pid, signal.SIGINT, timeout=10) is True
    assert time.monotonic() - began < 5
    process.wait()


def test_a_process_that_does_not_end_is_told_so() -> None:
    process = child(WAITS.format("SIG_IGN"))
    assert signal_and_wait(process.pid, signal.SIGINT, timeout=0.1) is False
    assert process.poll() is None
    process.kill()
    process.wait()


def test_a_process_that_has_ended_needs_no_signal() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert signal_and_wait(process.pid, signal.SIGINT, timeout=1) is True


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_files_are_replaced_whole_and_with_their_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "deep" / "file"
    old = os.umask(0o077)
    try:
        write_durably(path, "one", mode)
        write_durably(path, "two", mode)
    finally:
        os.umask(old)
    assert path.read_text(encoding="utf-8") == "two"
    assert path.stat().st_mode & 0o777 == mode
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_secret_is_readable_by_its_owner_only_from_the_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", power_cut)
    (tmp_path / f".key.{os.getpid()}.new").touch(mode=0o644)
    with pytest.raises(OSError, match="power cut"):
        write_durably(tmp_path / "key", "secret", 0o600)
    assert (tmp_path / f".key.{os.getpid()}.new").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "key").exists()


def test_removing_may_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remove_durably(tmp_path / "file")
    remove_durably(tmp_path / "file")
    remove_durably(tmp_path / "missing" / "file")
    assert list(tmp_path.iterdir()) == []
