# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.modules.bacula_address import main

Run = Callable[..., dict[str, Any]]
BEFORE = 'Director {\n  Name = d\n  Password = "secret"\n  DirAddress = 127.0.0.1\n}\n'
AFTER = BEFORE.replace("127.0.0.1", "0.0.0.0")


def directive(path: Path, keyword: str = "DirAddress", address: str = "0.0.0.0") -> dict[str, str]:
    return {"path": str(path), "keyword": keyword, "address": address}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "bacula-dir.conf"
    file.write_text(BEFORE)
    file.chmod(0o640)
    return file


def test_check_mode_then_change_then_nothing(run_module: Run, path: Path) -> None:
    arguments = {"directives": [directive(path)]}
    rehearsed = run_module(main, _check=True, _diff=True, **arguments)
    assert path.read_text() == BEFORE
    done = run_module(main, _diff=True, **arguments)
    assert path.read_text() == AFTER
    assert path.stat().st_mode & 0o777 == 0o640
    again = run_module(main, **arguments)
    assert (rehearsed["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert rehearsed["changes"] == done["changes"]
    assert done["changes"][0] | {"file": ""} == {
        "file": "",
        "line": 4,
        "keyword": "DirAddress",
        "before": "127.0.0.1",
        "after": "0.0.0.0",
    }
    assert [Path(backup).read_text() for backup in done["backups"]] == [BEFORE]


def test_the_diff_shows_no_password(run_module: Run, path: Path) -> None:
    result = run_module(main, _diff=True, directives=[directive(path)])
    assert "secret" not in json.dumps(result)
    assert result["diff"][0]["after"] == "DirAddress = 0.0.0.0\n"


def test_nodes_count_and_others_stay(run_module: Run, path: Path) -> None:
    path.write_text("Director { Address = 192.0.2.11 }\nDirector { Address = 192.0.2.99 }\nDirector { Name = x }\n")
    wanted = [directive(path, "Address", "192.0.2.10")]
    run_module(main, directives=wanted, nodes=["192.0.2.11"], backup=False)
    assert path.read_text().count("192.0.2.10") == 1
    assert "192.0.2.99" in path.read_text()
    assert list(path.parent.glob("*~")) == []


def test_an_included_file_is_changed_where_it_is(run_module: Run, path: Path) -> None:
    main_file = path.parent / "main.conf"
    main_file.write_text(f"@{path}\n")
    assert run_module(main, directives=[directive(main_file)])["changes"][0]["file"] == str(path)
    assert path.read_text() == AFTER


def test_a_commands_output_is_refused(run_module: Run, path: Path) -> None:
    main_file = path.parent / "main.conf"
    main_file.write_text('@|"echo Director { DirAddress = 127.0.0.1 }"\n')
    result = run_module(main, directives=[directive(main_file)])
    assert result["failed"] is True
    assert "is printed by a command" in result["msg"]


def test_no_file_is_no_error(run_module: Run, tmp_path: Path) -> None:
    assert run_module(main, directives=[directive(tmp_path / "none")])["changed"] is False


def test_several_files_in_one_call(run_module: Run, path: Path) -> None:
    console = path.with_name("bconsole.conf")
    console.write_text("Director {\n  Name = d\n  Address = localhost\n}\n")
    result = run_module(main, directives=[directive(path), directive(console, "Address", "backup.example.org")])
    assert [(change["file"], change["after"]) for change in result["changes"]] == [
        (str(path), "0.0.0.0"),
        (str(console), "backup.example.org"),
    ]
    assert "Address = backup.example.org" in console.read_text()
