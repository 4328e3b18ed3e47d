# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching the other machine off: what is read, what is run, what is told."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _fence
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._fence import (
    Fence,
    load_fence,
    parse_fence,
    standard_input,
    switch_off,
    without_secrets,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

SECRET = "s3cret word"


def test_an_agent_reads_its_parameters_as_lines() -> None:
    fence = parse_fence({"agent": "fence_ipmilan", "parameters": {"ip": "192.0.2.1", "lanplus": True, "retry_on": 2}})
    assert standard_input(fence) == "action=off\nip=192.0.2.1\nlanplus=1\nretry_on=2\n"
    assert (fence.name, fence.timeout) == ("fence_ipmilan", _fence.TIMEOUT_S)


def test_a_command_reads_nothing() -> None:
    fence = parse_fence({"command": ["power", "off"], "timeout": 5})
    assert (standard_input(fence), fence.name, fence.timeout) == ("", "power", 5.0)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "either an agent or a command"),
        ({}, "either an agent or a command"),
        ({"agent": "fence_a", "command": ["b"]}, "either an agent or a command"),
        ({"agent": "../bin/sh"}, "an agent's name"),
        ({"agent": "fence_a; rm"}, "an agent's name"),
        ({"command": "power off"}, "a list of words"),
        ({"command": ["sleep", 3]}, "a list of words"),
        ({"agent": "fence_a", "parameters": [SECRET]}, "names with values"),
        ({"agent": "fence_a", "parameters": {"password": f"{SECRET}\naction=on"}}, "'password' can't be passed"),
        ({"agent": "fence_a", "parameters": {"a=b": "1"}}, "'a=b' can't be passed"),
        ({"agent": "fence_a", "parameters": {"action": "status"}}, "'action' can't be passed"),
    ],
)
def test_what_is_no_fence(data: Any, said: str) -> None:
    with pytest.raises(BackupHaError) as raised:
        parse_fence(data)
    assert said in str(raised.value) and SECRET not in str(raised.value)


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "fence.json"
    assert load_fence(path) is None
    path.write_text(json.dumps({"command": ["true"]}), encoding="utf-8")
    assert load_fence(path) == Fence(command=("true",))
    path.write_text(f'{{"password": "{SECRET}"', encoding="utf-8")
    with pytest.raises(BackupHaError, match="is not JSON") as raised:
        load_fence(path)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one\nUnable to connect with s3cret word\n\n", "Unable to connect with ****"),
        ("s3cret", "s3cret"),
        ("", "it printed nothing"),
        ("x" * 400, "x" * 300),
    ],
)
def test_output_without_secrets(text: str, said: str) -> None:
    assert without_secrets(text, Fence("fence_a", {"password": SECRET, "empty": ""})) == said


def python(script: str, **settings: Any) -> Fence:
    return Fence(command=(sys.executable, "-c", script), **settings)


def test_success_and_whom_it_is_told(tmp_path: Path) -> None:
    told = tmp_path / "told"
    switch_off(python(f"import os; open('{told}', 'w').write(os.environ['BACKUP_HA_NODE_ADDRESS'])"), CONFIG)
    assert told.read_text(encoding="utf-8") == CONFIG.peer_address


def test_an_agent_is_found_and_its_parameters_are_on_no_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    agent = tmp_path / "fence_a"
    agent.write_text(f"#!/bin/sh\ncat > {tmp_path}/input\necho $# > {tmp_path}/words\n", encoding="utf-8")
    agent.chmod(0o755)
    monkeypatch.setattr(_fence, "AGENT_PATH", str(tmp_path) + ":/bin:/usr/bin")
    switch_off(Fence("fence_a", {"password": SECRET}), CONFIG)
    assert (tmp_path / "input").read_text(encoding="utf-8") == f"action=off\npassword={SECRET}\n"
    assert (tmp_path / "words").read_text(encoding="utf-8") == "0\n"


def test_failures_are_sentences(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BackupHaError, match=r"did not switch node2 off: exit code 3, no route\."):
        switch_off(python("import sys; sys.exit(print('no route') or 3)"), CONFIG)
    with pytest.raises(BackupHaError, match="could not be started: No such file"):
        switch_off(Fence(command=("/nowhere/at/all",)), CONFIG)
    monkeypatch.setattr(_fence, "AGENT_PATH", str(tmp_path))
    with pytest.raises(BackupHaError, match="fence_a is not installed on node1"):
        switch_off(Fence("fence_a"), CONFIG)


def test_one_that_hangs_is_ended_with_its_children() -> None:
    began = time.monotonic()
    with pytest.raises(BackupHaError, match="did not end within 0 s"):
        switch_off(python("import os; os.system('sleep 30')", timeout=0.3), CONFIG)
    assert time.monotonic() - began < 5
