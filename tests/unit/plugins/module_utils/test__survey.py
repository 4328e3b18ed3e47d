# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a server before it becomes a node."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _endpoint, _survey
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Postgresql
from ansible_collections.duet.backup_ha.plugins.module_utils._survey import find_interface, find_server

INTERFACES = [
    {"name": "eth0", "addresses": ["198.18.0.11/24", "fe80::d0:c6ff:fe12:5e0b/64"]},
    {"name": "eth1", "addresses": ["10.0.0.5/8", "2001:db8::11/64"]},
    {"name": "dummy0", "addresses": []},
]


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("198.18.0.10", ("eth0", 24)),
        ("10.99.0.1", ("eth1", 8)),
        ("2001:db8::10", ("eth1", 64)),
        ("198.18.1.10", None),
        ("2001:db9::10", None),
        ("backup.lab.test", None),
        ("", None),
    ],
)
def test_the_endpoint_s_place(endpoint: str, place: tuple[str, int] | None) -> None:
    assert find_interface(endpoint, INTERFACES) == place


def test_the_endpoint_s_own_entry_is_no_subnet() -> None:
    """A node that has it lists it, perhaps alone with a host's prefix."""
    held = [{"name": "eth0", "addresses": ["198.18.0.10/32", "198.18.0.11/24"]}]
    assert find_interface("198.18.0.10", held) == ("eth0", 24)
    assert find_interface("198.18.0.10", [{"name": "eth0", "addresses": ["198.18.0.10/24"]}]) is None


def test_without_a_place_nobody_is_asked() -> None:
    assert _survey.survey_endpoint("192.0.2.1", INTERFACES) == {
        "interface": None,
        "prefix": None,
        "held": False,
        "answered_by": None,
    }


@pytest.mark.parametrize(("held", "asked"), [(True, 0), (False, 1)])
def test_the_neighbours_are_asked_for_an_address_that_is_not_here(
    monkeypatch: pytest.MonkeyPatch, held: bool, asked: int
) -> None:
    probes: list[Any] = []

    def probe(endpoint: Any) -> str:
        probes.append(endpoint)
        return "02:00:00:00:00:01"

    monkeypatch.setattr(_endpoint, "holds", lambda _endpoint: held)
    monkeypatch.setattr(_endpoint, "probe", probe)
    found = _survey.survey_endpoint("198.18.0.10", INTERFACES)
    assert (found["interface"], found["prefix"], found["held"]) == ("eth0", 24, held)
    assert found["answered_by"] == (None if held else "02:00:00:00:00:01")
    assert len(probes) == asked


def test_interfaces_are_read_without_loopback_and_link_names(monkeypatch: pytest.MonkeyPatch) -> None:
    links = [
        {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {
            "ifname": "eth0@if5",
            "address": "02:d0:c6:12:5e:0b",
            "addr_info": [{"local": "198.18.0.11", "prefixlen": 24}, {"prefixlen": 24}],
        },
        {"ifname": "dummy0"},
    ]
    monkeypatch.setattr(_survey, "run", lambda _argv: json.dumps(links))
    assert _survey.read_interfaces() == [
        {"name": "eth0", "mac": "02:d0:c6:12:5e:0b", "addresses": ["198.18.0.11/24"]},
        {"name": "dummy0", "mac": None, "addresses": []},
    ]


def server_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> Postgresql:
    monkeypatch.setattr(_survey, "CLUSTERS", tmp_path)
    directory = tmp_path / "15" / "main"
    directory.mkdir(parents=True)
    (directory / "postgresql.conf").write_text(text, encoding="utf-8")
    return find_server("15", "main")


@pytest.mark.parametrize(
    ("text", "port", "directory"),
    [
        pytest.param(
            "data_directory = '/srv/pg'\t\t# use data in another directory\nport = 5433\t\t\t\t# (change)\n",
            5433,
            "/srv/pg",
            id="as Debian writes it",
        ),
        pytest.param("port=5434\ndata_directory='/srv/pg'\n", 5434, "/srv/pg", id="without blanks"),
        pytest.param("  port 5435\n", 5435, "/var/lib/postgresql/15/main", id="without equals signs"),
        pytest.param("#port = 5436\nsport = 1\n", 5432, "/var/lib/postgresql/15/main", id="only comments"),
        pytest.param("", 5432, "/var/lib/postgresql/15/main", id="empty"),
    ],
)
def test_port_and_directory_of_a_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, port: int, directory: str
) -> None:
    server = server_with(monkeypatch, tmp_path, text)
    assert (server.version, server.cluster, server.port, server.data_directory) == ("15", "main", port, directory)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("postgresql:\n  Installed: (none)\n  Candidate: 15+248\n  Version table:\n", "15"),
        ("postgresql:\n  Installed: (none)\n  Candidate: (none)\n", None),
        ("", None),
    ],
)
def test_the_version_that_would_be_installed(monkeypatch: pytest.MonkeyPatch, said: str, version: str | None) -> None:
    monkeypatch.setattr(_survey, "run", lambda _argv, **_options: said)
    assert _survey.candidate_version() == version


def test_modes_of_secret_files(tmp_path: Path) -> None:
    secret = tmp_path / "bacula-dir.conf"
    secret.touch()
    secret.chmod(0o2640)
    missing, directory = str(tmp_path / "missing"), str(tmp_path)
    assert _survey.survey_secrets([str(secret), missing, directory]) == {str(secret): 0o2640}


def test_names_that_do_not_resolve_have_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(socket, "gethostbyaddr", fail)
    assert _survey.resolve("nosuch.lab.test") == []
    assert _survey.reverse("198.18.0.10") == []


def test_every_address_and_every_name_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (2, 1, 6, "", ("198.18.0.10", 0)),
        (10, 1, 6, "", ("2001:db8::10", 0, 0, 0)),
        (2, 1, 6, "", ("198.18.0.10", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
    monkeypatch.setattr(socket, "gethostbyaddr", lambda _address: ("backup.lab.test", ["backup"], []))
    assert _survey.resolve("backup.lab.test") == ["198.18.0.10", "2001:db8::10"]
    assert _survey.reverse("198.18.0.10") == ["backup", "backup.lab.test"]


@pytest.mark.parametrize(
    ("present", "half_made"),
    [
        ([], []),
        (["etc/15/main/postgresql.conf", "var/15/main/PG_VERSION"], []),
        (["etc/15/main/pg_hba.conf", "var/15/main/PG_VERSION"], ["etc/15/main", "var/15/main"]),
        (["var/15/main/base/1"], ["var/15/main"]),
        (["etc/15/other/pg_hba.conf", "var/15/main.incoming/PG_VERSION"], []),
        (["etc/13/main/environment", "etc/15/main/postgresql.conf"], ["etc/13/main"]),
    ],
)
def test_what_is_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: list[str], half_made: list[str]
) -> None:
    monkeypatch.setattr(_survey, "CLUSTERS", tmp_path / "etc")
    monkeypatch.setattr(_survey, "DATA", tmp_path / "var")
    for name in present:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert _survey.half_made("main") == [str(tmp_path / name) for name in half_made]


@pytest.mark.parametrize(
    ("found", "present", "remembers", "member"),
    [
        pytest.param({"databases": ["bacula", "backup_ha"]}, [], False, True, id="the cluster's database"),
        pytest.param({"databases": ["bacula"]}, [], False, False, id="a server of its own"),
        pytest.param({"databases": ["bacula"]}, [], True, True, id="it was primary"),
        pytest.param({"databases": ["bacula"]}, ["node.json", "standby.signal"], False, False, id="not copied yet"),
        pytest.param({}, ["node.json", "standby.signal"], False, True, id="a node that nobody can ask"),
        pytest.param({}, ["node.json"], False, False, id="a node that never was a standby"),
        pytest.param({}, ["standby.signal"], False, False, id="somebody else's standby"),
        pytest.param({}, [], True, True, id="stopped, and was primary"),
    ],
)
def test_whose_data_is_a_cluster_s(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    found: dict[str, list[str]],
    present: list[str],
    remembers: bool,
    member: bool,
) -> None:
    for name in present:
        (tmp_path / name).touch()
    monkeypatch.setattr(_survey, "CONFIG_PATH", tmp_path / "node.json")
    monkeypatch.setattr(_survey, "was_primary", lambda: remembers)
    databases = {key: [{"name": name} for name in names] for key, names in found.items()}
    assert _survey.is_member({"data_directory": str(tmp_path), **databases}) is member


def stopped_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(_survey, "postmaster_pid", lambda _server: None)
    return _survey.survey_server(Postgresql("15", "main", 5432, str(tmp_path)), {})


def test_what_holds_no_data_is_no_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame for the copy, on a machine whose old data is gone."""
    monkeypatch.setattr(_survey, "was_primary", lambda: True)
    assert stopped_server(tmp_path, monkeypatch)["member"] is False
    (tmp_path / "base" / "16384").mkdir(parents=True)
    assert stopped_server(tmp_path, monkeypatch)["member"] is True


def test_where_tablespaces_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stopped_server(tmp_path, monkeypatch)["tablespaces"] == []
    (tmp_path / "pg_tblspc").mkdir()
    (tmp_path / "pg_tblspc" / "16400").symlink_to("/srv/fast")
    found = stopped_server(tmp_path, monkeypatch)
    assert (found["tablespaces"], found["holds_data"]) == (["/srv/fast"], True)


def test_what_a_copy_left_counts_as_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_survey, "CLUSTERS", tmp_path)
    monkeypatch.setattr(_survey, "DATA", tmp_path)
    monkeypatch.setattr(_survey, "await_end", lambda _unit: None)
    monkeypatch.setattr(_survey, "candidate_version", lambda: "15")
    monkeypatch.setattr(_survey, "postmaster_pid", lambda _server: None)
    monkeypatch.setattr(_survey, "leftover_bytes", lambda directory: 2**60 if directory == "/srv/pg" else 0)
    monkeypatch.setattr(_survey, "_existing", lambda _path: "/")
    assert _survey.survey_postgresql("main", {})["free_bytes"] < 2**60
    (tmp_path / "15" / "main").mkdir(parents=True)
    (tmp_path / "15/main/postgresql.conf").write_text("data_directory = '/srv/pg'\n", encoding="utf-8")
    assert _survey.survey_postgresql("main", {})["free_bytes"] > 2**60
