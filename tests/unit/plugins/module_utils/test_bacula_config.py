# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Bacula configuration means for a cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._bacula import parse
from ansible_collections.duet.backup_ha.plugins.module_utils._bacula_config import (
    Cluster,
    apply_edits,
    plan_edits,
    refusals,
    summary,
)

CLUSTER = Cluster({"node1": "192.0.2.11", "node2": "192.0.2.12"}, "192.0.2.10")
# name → (number, whether the host that looks has it)
NAMES = {
    "localhost": [("::1", True), ("127.0.0.1", True)],
    "node1.example.org": [("192.0.2.11", True)],
    "node2.example.org": [("192.0.2.12", False)],
    "second-nic.example.org": [("198.51.100.11", True)],
    "backup.example.org": [("192.0.2.10", True)],
    "repository.example.org": [("192.0.2.20", False)],
    "nowhere.example.org": [],
}


def found(text: str, problems: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The summary of `text` with addresses resolved from NAMES; numbers stand for themselves."""
    result: dict[str, Any] = summary(parse("dir.conf", lambda _path: text))
    for resource in (resource for resources in result.values() for resource in resources):
        for address in resource["addresses"]:
            answers = NAMES.get(address["address"], [(address["address"], False)])
            address["resolved"] = [{"address": number, "local": local} for number, local in answers]
    return {"problems": problems or [], **result}


def storage(address: str) -> str:
    return f"Storage {{\n Name = s\n Address = {address}\n Device = d\n Media Type = F\n Password = p\n}}\n"


def test_a_summary_has_places_and_no_passwords() -> None:
    result = found(
        'Director { Name = d; Password = "secret"; DirAddress = 127.0.0.1 }\n'
        'Catalog { Name = c; dbname = "bacula"; DB Address = localhost; db password = "secret" }\n'
        'Client { Name = fd; Address = repository.example.org; Password = "secret" }\n'
        'Autochanger { Name = changer; SD Address = repository.example.org; Password = "secret" }\n'
    )
    assert "secret" not in json.dumps(result)
    assert [(kind, resource["name"], resource["line"]) for kind in result for resource in result[kind]] == [
        ("directors", "d", 1),
        ("storages", "changer", 4),
        ("clients", "fd", 3),
        ("catalogs", "c", 2),
    ]
    assert result["catalogs"][0]["database"] == "bacula"
    assert result["storages"][0]["addresses"][0]["keyword"] == "SDAddress"


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("localhost", "the node itself"),
        ("127.0.1.1", "the node itself"),
        ('"::1"', "the node itself"),
        ("192.0.2.11", "the node node1"),
        ("node1.example.org", "the node node1"),
        ("node2.example.org", "the node node2"),
        ("second-nic.example.org", "the node itself"),
        ("backup.example.org", "the cluster's endpoint"),
    ],
)
def test_a_repository_on_a_node_is_refused(address: str, owner: str) -> None:
    reasons = refusals(found(storage(address)), CLUSTER)
    assert len(reasons) == 1
    assert reasons[0].startswith(f"Storage 's' has Address = {address.strip(chr(34))} in dir.conf:3, which is {owner};")


@pytest.mark.parametrize("address", ["repository.example.org", "192.0.2.20", "nowhere.example.org"])
def test_a_repository_elsewhere_is_no_reason(address: str) -> None:
    assert refusals(found(storage(address)), CLUSTER) == []


def test_a_repository_on_a_node_can_be_allowed() -> None:
    assert refusals(found(storage("localhost")), CLUSTER, allow_local_repository=True) == []


def test_where_clients_reach_a_storage_counts_too() -> None:
    text = "Storage { Name = s; Address = repository.example.org; FD Storage Address = node2.example.org }"
    assert "FDStorageAddress = node2.example.org" in refusals(found(text), CLUSTER)[0]


def example(address: str, name: str = "File1", device: str = "FileChgr1", media: str = "File1") -> str:
    return f"Autochanger {{ Name = {name}; Address = {address}; Device = {device}; Media Type = {media} }}"


def test_debians_example_is_no_repository() -> None:
    both = example("localhost") + "\n" + example("localhost", "File2", "FileChgr2", "File2")
    assert refusals(found(both), CLUSTER) == []


@pytest.mark.parametrize("text", [example("localhost", device="Real"), example("node2.example.org")])
def test_a_changed_example_is_a_repository(text: str) -> None:
    assert len(refusals(found(text), CLUSTER)) == 1


@pytest.mark.parametrize(
    ("directive", "refused"),
    [
        ("DirAddress = 192.0.2.11", False),
        ("DirAddress = 127.0.0.1", False),
        ("DirAddresses = { ip = { addr = 0.0.0.0 } }", False),
        ("DirAddresses = { ip = { addr = backup.example.org } }", False),
        ("DirAddresses = { ip = { addr = 127.0.0.1 } }", True),
        ("DirAddresses = { ip = { addr = 0.0.0.0 }; ip = { addr = node1.example.org } }", True),
        ("DirSourceAddress = 192.0.2.11", True),
    ],
)
def test_directors(directive: str, refused: bool) -> None:
    reasons = refusals(found(f"Director {{ Name = d; {directive} }}"), CLUSTER)
    assert bool(reasons) == refused


@pytest.mark.parametrize(
    ("directive", "refused"),
    [
        ("", False),
        ("DB Address = localhost", False),
        ("DB Socket = /run/postgresql", False),
        ("DB Address = backup.example.org", False),
        ("DB Address = node1.example.org", True),
        ("DB Address = repository.example.org", True),
    ],
)
def test_catalogs(directive: str, refused: bool) -> None:
    reasons = refusals(found(f"Catalog {{ Name = c; dbname = bacula; {directive} }}"), CLUSTER)
    assert bool(reasons) == refused


def test_what_cannot_be_read_is_refused() -> None:
    problem = {"file": "dir.conf", "line": 7, "message": "/x can't be read: no such file"}
    assert refusals(found("", [problem]), CLUSTER) == ["dir.conf:7: /x can't be read: no such file."]


CONSOLE = """\
Director {
  Name = d # Address = localhost
  Add ress="localhost"; Password = localhost
}
Director { Address = far }
"""


def test_only_the_named_values_change() -> None:
    edits = plan_edits(parse("f", lambda _path: CONSOLE), ["Address"], "backup.example.org", ["localhost"])
    assert [(edit.file, edit.line, edit.keyword, edit.before) for edit in edits] == [("f", 3, "Address", "localhost")]
    assert apply_edits(CONSOLE, edits) == CONSOLE.replace('="localhost"', '="backup.example.org"')


def test_a_second_run_plans_nothing() -> None:
    once = apply_edits(CONSOLE, plan_edits(parse("f", lambda _path: CONSOLE), ["Address"], "b", ["localhost"]))
    assert plan_edits(parse("f", lambda _path: once), ["Address"], "b", ["localhost", "b"]) == []


def test_a_director_that_shall_listen_on_ipv6_gets_the_form_that_means_it() -> None:
    text = "Director {\n  Name = d\n  DIRport = 9109  # ours\n  DirAddress = 127.0.0.1\n}\n"
    edits = plan_edits(parse("f", lambda _path: text), ["DirAddress"], "::", ["127.0.0.1"])
    after = apply_edits(text, edits)
    assert after == ("Director {\n  Name = d\n    # ours\n  DirAddresses = { ipv6 = { addr = ::; port = 9109 } }\n}\n")
    assert [edit.directive for edit in edits] == ["DirAddresses = { ipv6 = { addr = ::; port = 9109 } }", ""]
    assert plan_edits(parse("f", lambda _path: after), ["DirAddress"], "::", ["127.0.0.1", "::"]) == []


def test_several_edits_of_one_file() -> None:
    text = "Director { Address = a }\nDirector { Address = long.name }\n"
    edits = plan_edits(parse("f", lambda _path: text), ["address"], "new", ["a", "long.name"])
    assert apply_edits(text, edits) == "Director { Address = new }\nDirector { Address = new }\n"
