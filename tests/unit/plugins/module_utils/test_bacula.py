# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bacula's configuration language, as `bacula-dir -t` and `bdirjson` 9.6 read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._bacula import Configuration, Directive, parse

MAIN = "/etc/bacula/bacula-dir.conf"


def reader(files: dict[str, str]) -> Callable[[str], str]:
    def read(target: str) -> str:
        if target not in files:
            raise FileNotFoundError(f"No such file: {target}")
        return files[target]

    return read


def parsed(text: str, **others: str) -> Configuration:
    """Parse `text` as the main file; others are files by name, below /."""
    return parse(MAIN, reader({MAIN: text, **{f"/{name}": content for name, content in others.items()}}))


def plain(directive: Directive) -> Any:
    """A directive as (name, values), a block as (name, [...])."""
    return directive.name, [plain(d) for d in directive.block] or [value.text for value in directive.values]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Storage { Name = a }", [("name", ["a"])]),
        ("storage\n{\nNAME=a\n}", [("name", ["a"])]),
        ("Storage { N a m e = a; SD Port = 9103 }", [("name", ["a"]), ("sdport", ["9103"])]),
        ("Storage { Name = a; Address = h;; }", [("name", ["a"]), ("address", ["h"])]),
        ("Storage { Name = a # Address = x\nAddress = h }", [("name", ["a"]), ("address", ["h"])]),
        ("Storage { # {\n Name = a\n # }\n}", [("name", ["a"])]),
        ('Storage { Name = "a } ; # = b" }', [("name", ["a } ; # = b"])]),
        (r'Storage { Name = "a \"b\" \\c" }', [("name", [r'a "b" \c'])]),
        ('Storage { Address = "local\nhost"; Port = 1 }', [("address", ["local\nhost"]), ("port", ["1"])]),
        ("Storage { Address = 192.0.2.1}", [("address", ["192.0.2.1"])]),
        ("Storage { Address = fd00::1; }", [("address", ["fd00::1"])]),
        ("Storage { Name = a b\n}", [("name", ["ab"])]),
        ("Storage { Name = a b1 c\n}", [("name", ["ab1", "c"])]),
        ("Storage { Device = d1, d2 ,d3 }", [("device", ["d1", "d2", "d3"])]),
        ("Storage { Name =\n}", [("name", [])]),
        ("Storage { Name = é\n}", [("name", ["é"])]),
        ("\ufeffStorage { Name = a }", [("name", ["a"])]),
        ("Storage {\r\n  Name = a\r\n  Address = h\r\n}\r\n", [("name", ["a"]), ("address", ["h"])]),
        ("Storage { Name = no\u00a0break }", [("name", ["no\u00a0break"])]),
    ],
)
def test_directives(text: str, expected: list[Any]) -> None:
    found = parsed(text)
    assert found.problems == []
    assert [plain(resource) for resource in found.resources] == [("storage", expected)]


def test_nested_blocks() -> None:
    found = parsed(
        "Director {\n Name = d\n DirAddresses = {\n  ip = { addr = 192.0.2.1; port = 9101 }\n"
        "  ipv6 =\n  {\n addr = ::1\n }\n }\n Messages = Daemon\n}"
    )
    addresses = [
        ("ip", [("addr", ["192.0.2.1"]), ("port", ["9101"])]),
        ("ipv6", [("addr", ["::1"])]),
    ]
    assert found.problems == []
    assert plain(found.resources[0])[1] == [("name", ["d"]), ("diraddresses", addresses), ("messages", ["Daemon"])]


def test_what_other_resources_hold_does_not_confuse() -> None:
    found = parsed(
        'Job { RunScript { Command = "echo }"\n RunsWhen = Before } }\n'
        "FileSet { Include { Options { signature = MD5 }\n File = /a b\n } }\n"
        "Messages { mail = root@example.org = all, !skipped, \\\n !saved\n"
        ' mailcommand = "/usr/sbin/bsmtp -f \\"\\(Bacula\\) \\<%r\\>\\" %r"\n}\n'
        "Schedule { Run = Full 1st sun at 23:05\n}\n"
        "Storage { Name = s }"
    )
    assert found.problems == []
    assert [resource.name for resource in found.resources] == ["job", "fileset", "messages", "schedule", "storage"]


def test_lines_and_offsets_are_those_of_the_file() -> None:
    text = '# one\nStorage {\n  Name = "a\nb"\n\n  Address = h # c\n}\n'
    storage = parsed(text).resources[0]
    address = storage.find("address")[0]
    assert (storage.line, storage.find("name")[0].line, address.line) == (2, 3, 6)
    assert text[address.values[0].start : address.values[0].stop] == "h"


@pytest.mark.parametrize("include", ["@/more", '@"/more"', "@/more;", "  @/more # c", "Catalog { Name = c }\n@/more"])
def test_includes(include: str) -> None:
    found = parsed(f"{include}\nClient {{ Name = c }}", more="Storage {\n Name = s }")
    names = [resource.name for resource in found.resources if resource.name != "catalog"]
    assert (found.problems, found.files, names) == ([], [MAIN, "/more"], ["storage", "client"])
    storage = found.of_kind("storage")[0]
    assert (storage.file, storage.find("name")[0].line) == ("/more", 2)


def test_an_include_inside_a_resource() -> None:
    found = parsed("Storage { Name = s\n @/more\n Password = p }", more="Address = h")
    assert plain(found.resources[0])[1] == [("name", ["s"]), ("address", ["h"]), ("password", ["p"])]
    assert [directive.file for directive in found.resources[0].block] == [MAIN, "/more", MAIN]


def test_the_output_of_a_command() -> None:
    command = "|sh -c 'for f in /c/*.conf; do echo @$f; done'"
    files = {MAIN: f'@|"{command[1:]}"\n', command: "@/c/a.conf\n@/c/b.conf\n", "/c/a.conf": "Client { Name = a }"}
    files["/c/b.conf"] = "Client { Name = b }"
    found = parse(MAIN, reader(files))
    assert [client.text("name") for client in found.of_kind("client")] == ["a", "b"]
    assert found.files == [MAIN, "/c/a.conf", "/c/b.conf"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\n@/missing\nStorage { Name = s }", 2, "/missing can't be read"),
        ("Storage { Name = s }\n}\n", 2, "closes nothing"),
        ("Storage { Name = s }\n{\n}", 2, "follows no keyword"),
        ('Storage { Name = s }\nClient {\n Name = "x', 3, 'a " is never closed'),
        ("Storage { Name = s }\nClient {\n Name = x\n", 2, "the { of Client is never closed"),
        ("Storage { Name = s }\n@ \n", 2, "an @ names no file"),
        ("Storage { Name = s }\n@/etc/bacula/bacula-dir.conf", 2, "included from itself"),
    ],
)
def test_problems_are_named_and_the_rest_is_read(text: str, line: int, words: str) -> None:
    found = parsed(text)
    assert (MAIN, line) in [(problem.file, problem.line) for problem in found.problems]
    assert any(words in problem.message for problem in found.problems)
    assert "s" in [storage.text("name") for storage in found.of_kind("storage")]


@pytest.mark.parametrize("text", ["", "# nothing", "= , ;", "Storage", "Storage =", "a = b = c", "\x00\x1c\u2028"])
def test_any_text_comes_to_an_end(text: str) -> None:
    assert parsed(text).files == [MAIN]
