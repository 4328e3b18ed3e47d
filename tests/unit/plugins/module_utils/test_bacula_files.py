# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, commands, names and sockets around a Bacula configuration, on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._bacula_files import inspect, is_local, read_text, resolve


def test_bytes_survive(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"a\r\n\xff")
    assert read_text(str(file)).encode("utf-8", "surrogateescape") == b"a\r\n\xff"


def test_a_directory_holds_nothing(tmp_path: Path) -> None:
    assert read_text(str(tmp_path)) == ""


def test_a_command_is_run_without_a_shell_of_ours() -> None:
    assert read_text("|sh -c 'echo \"@$0\"' '$HOME'") == "@$HOME\n"


@pytest.mark.parametrize("target", ["|false", "|/no/such/command", "|sh -c 'unbalanced", "/no/such/file"])
def test_what_fails_raises_an_oserror(target: str) -> None:
    with pytest.raises(OSError, match=r"."):
        read_text(target)


def test_inspect(tmp_path: Path) -> None:
    main, more = tmp_path / "dir.conf", tmp_path / "more.conf"
    main.write_text(f'@|"echo @{more}"\nDirector {{ Name = d; DirAddress = 127.0.0.1; Password = p }}\n@missing\n')
    more.write_text("Storage { Name = s; Address = name.invalid }")
    found = inspect(str(main))
    assert found["exists"] is True
    assert found["files"] == [str(main), str(more)]
    assert found["directors"][0]["addresses"][0]["resolved"] == [{"address": "127.0.0.1", "local": True}]
    assert found["storages"][0]["addresses"][0]["resolved"] == []
    assert [(problem["file"], problem["line"]) for problem in found["problems"]] == [(str(main), 3)]


def test_no_configuration(tmp_path: Path) -> None:
    found = inspect(str(tmp_path / "none"))
    assert (found["exists"], found["files"], found["storages"]) == (False, [], [])


def test_names_and_numbers() -> None:
    assert resolve("192.0.2.1") == [{"address": "192.0.2.1", "local": False}]
    assert resolve("name.invalid") == []
    assert resolve("a" * 300) == []
    assert "127.0.0.1" in [answer["address"] for answer in resolve("localhost")]


@pytest.mark.parametrize(("number", "local"), [("127.0.0.1", True), ("192.0.2.1", False), ("2001:db8::1", False)])
def test_local_addresses(number: str, local: bool) -> None:
    assert is_local(number) is local
