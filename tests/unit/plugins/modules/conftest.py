# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run modules in this process, as Ansible would."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.duet.backup_ha.plugins.modules import node_tls
from ansible_collections.duet.backup_ha.tests.unit.plugins.certified import Pair

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call a module's main() with arguments (`_check=True`, `_diff=True` for the modes); returns what it printed."""

    def run(main: Callable[[], None], _check: bool = False, _diff: bool = False, **arguments: Any) -> dict[str, Any]:
        modes = {"_ansible_check_mode": _check, "_ansible_diff": _diff}
        with patch_module_args({**arguments, **modes}), pytest.raises(SystemExit):
            main()
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    return run


@pytest.fixture
def pair(run_module: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pair:
    """The machine that tests may have no PostgreSQL, and is no node."""
    nobody = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(pwd, "getpwnam", lambda _name: nobody)
    monkeypatch.setattr(os, "chown", lambda *_words: None)
    monkeypatch.setattr(node_tls, "load_config", lambda: None)
    made = Pair(run_module, monkeypatch, tmp_path)
    assert [plan["last"] for plan in made.renew()] == [True]
    return made
