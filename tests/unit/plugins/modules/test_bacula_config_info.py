# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.duet.backup_ha.plugins.modules.bacula_config_info import main

Run = Callable[..., dict[str, Any]]
CONFIGURATION = """\
Director { Name = d; Password = "secret" }
Storage {
  Name = s
  Address = localhost
  Password = "secret"
}
Catalog { Name = c; dbname = bacula; dbpassword = "secret" }
"""


def test_reads_and_judges(run_module: Run, tmp_path: Path) -> None:
    path = tmp_path / "bacula-dir.conf"
    path.write_text(CONFIGURATION)
    result = run_module(main, path=str(path), nodes={"a": "192.0.2.1", "b": "192.0.2.2"}, endpoint="192.0.2.3")
    assert result["changed"] is False
    assert [(s["name"], s["line"]) for s in result["storages"]] == [("s", 2)]
    assert [f"in {path}:4, which is the node itself" in reason for reason in result["refusals"]] == [True]
    assert "secret" not in json.dumps({key: value for key, value in result.items() if key != "invocation"})


def test_judges_nothing_without_nodes(run_module: Run, tmp_path: Path) -> None:
    path = tmp_path / "bacula-dir.conf"
    path.write_text(CONFIGURATION)
    assert run_module(main, path=str(path))["refusals"] == []


def test_a_server_without_bacula(run_module: Run, tmp_path: Path) -> None:
    result = run_module(main, path=str(tmp_path / "none"), nodes={"a": "192.0.2.1"})
    assert (result["exists"], result["directors"], result["refusals"]) == (False, [], [])
