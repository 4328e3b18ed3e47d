# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server is and has before it becomes a node: the raw material of the checks. Reads only."""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import re
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import _endpoint
from ._config import CONFIG_PATH, DATABASE, Endpoint, Postgresql
from ._errors import BackupHaError, DeadlineError
from ._leftovers import leftover_bytes
from ._packages import missing_packages, package_versions
from ._parameters import STANDBY_MINIMUMS
from ._postgres import control_data, postmaster_pid
from ._primary_memory import was_primary
from ._settings import RESTART_SETTINGS, survey_settings
from ._system import await_end, run
from ._user_data import holds_user_data

CLUSTERS = Path("/etc/postgresql")
DATA = Path("/var/lib/postgresql")
MANAGED_SETTINGS = ("primary_conninfo", "primary_slot_name", "restart_after_crash", "ssl_ca_file", *RESTART_SETTINGS)


def survey(
    names: list[str],
    addresses: list[str],
    endpoint: str,
    cluster: str = "main",
    secret_files: list[str] | None = None,
    packages: list[str] | None = None,
    same_packages: list[str] | None = None,
    settings: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything the checks compare, as plain data.

    ``names`` and ``addresses`` are looked up on this server, forward and reverse; ``endpoint`` is asked for on the
    interface of the subnet that holds it; ``secret_files`` are files whose passwords only their owners may read; of
    ``packages`` those that are not installed are returned, of ``same_packages`` the versions; ``settings`` are
    PostgreSQL's that the cluster will have.
    """
    await_boot()
    interfaces = read_interfaces()
    return {
        "assembled": CONFIG_PATH.exists(),
        "missing_packages": missing_packages(packages or []),
        "package_versions": package_versions(same_packages or []),
        "hostname": socket.gethostname(),
        "architecture": platform.machine(),
        "system": read_os_release(),
        "glibc": platform.libc_ver()[1],
        "icu": icu_version(),
        "locales": sorted(set(run(["locale", "-a"], check=False).split())),
        "python": platform.python_version(),
        "interfaces": interfaces,
        "resolves": {name: resolve(name) for name in names},
        "reverse": {address: reverse(address) for address in addresses},
        "endpoint": survey_endpoint(endpoint, interfaces),
        "postgresql": survey_postgresql(cluster, settings or {}),
        "secret_files": survey_secrets(secret_files or []),
    }


def await_boot(limit: float = 30.0) -> None:
    """SSH answers before a booting server has started PostgreSQL, which would be taken for stopped."""
    with suppress(DeadlineError):
        run(["systemctl", "is-system-running", "--wait"], timeout=limit, check=False)


def read_os_release() -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', Path("/etc/os-release").read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1) if found else platform.system()


def icu_version() -> str | None:
    libraries = sorted(Path("/usr/lib").glob("*/libicuuc.so.*"))
    return libraries[-1].name.split(".so.", 1)[1] if libraries else None


def read_interfaces() -> list[dict[str, Any]]:
    """Name, hardware address and addresses (with prefix) of every interface but loopback."""
    links = json.loads(run(["ip", "-json", "address", "show"]))
    return [
        {
            "name": link["ifname"].split("@")[0],
            "mac": link.get("address"),
            "addresses": [f"{a['local']}/{a['prefixlen']}" for a in link.get("addr_info", []) if "local" in a],
        }
        for link in links
        if link["ifname"] != "lo"
    ]


def resolve(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})


def reverse(address: str) -> list[str]:
    try:
        name, aliases, _addresses = socket.gethostbyaddr(address)
    except OSError:
        return []
    return sorted({name, *aliases})


def find_interface(endpoint: str, interfaces: list[dict[str, Any]]) -> tuple[str, int] | None:
    """The interface and the prefix length of the subnet that holds the endpoint's address. Pure.

    The endpoint's own entry (prefix of a node that already has it) does not count as the subnet.
    """
    try:
        wanted = ipaddress.ip_address(endpoint)
    except ValueError:
        return None  # the checks say so
    for interface in interfaces:
        for text in interface["addresses"]:
            address = ipaddress.ip_interface(text)
            if address.version == wanted.version and address.ip != wanted and wanted in address.network:
                return interface["name"], address.network.prefixlen
    return None


def survey_endpoint(address: str, interfaces: list[dict[str, Any]]) -> dict[str, Any]:
    """Where the endpoint would live on this server, whether it is here, and who else answers for it."""
    place = find_interface(address, interfaces)
    if place is None:
        return {"interface": None, "prefix": None, "held": False, "answered_by": None}
    endpoint = Endpoint(address, place[1], place[0], "")
    held = _endpoint.holds(endpoint)
    answered = None if held else _endpoint.probe(endpoint)
    return {"interface": place[0], "prefix": place[1], "held": held, "answered_by": answered}


def survey_postgresql(cluster: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Which PostgreSQL is installed, which could be, and what its cluster holds."""
    # An interrupted run may have left the creation of the cluster at work: see roles/node/tasks/packages.yml.
    await_end("backup-ha-createcluster.service")
    installed = sorted(
        (path.parent.parent.name for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")), key=float
    )
    clusters = sorted(path.parents[1].name for path in CLUSTERS.glob(f"*/{cluster}/postgresql.conf"))
    server = find_server(clusters[-1], cluster) if clusters else None
    directory = server.data_directory if server else str(DATA)
    disk = shutil.disk_usage(_existing(directory))
    return {
        "installed": installed,
        "available": None if installed else candidate_version(),
        "clusters": clusters,
        "half_made": half_made(cluster),
        "server": survey_server(server, settings) if server else None,
        "free_bytes": disk.free + leftover_bytes(directory),
        "total_bytes": shutil.disk_usage(_existing(os.path.join(directory, "pg_wal"))).total,
    }


def half_made(cluster: str) -> list[str]:
    """Directories of a PostgreSQL cluster without postgresql.conf: its creation or removal was interrupted."""
    found = [*CLUSTERS.glob(f"*/{cluster}"), *DATA.glob(f"*/{cluster}")]
    return sorted(
        str(path)
        for path in found
        if not (CLUSTERS / path.parent.name / cluster / "postgresql.conf").exists() and any(path.iterdir())
    )


def _existing(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def candidate_version() -> str | None:
    """The major version that Debian's metapackage would install."""
    output = run(["apt-cache", "policy", "postgresql"], check=False)
    found = re.search(r"Candidate: (\d+)", output)
    return found.group(1) if found else None


def find_server(version: str, cluster: str) -> Postgresql:
    """Port and data directory from the cluster's postgresql.conf, as Debian writes it."""
    text = (CLUSTERS / version / cluster / "postgresql.conf").read_text(encoding="utf-8")
    port = re.search(r"^\s*port\s*=?\s*(\d+)", text, re.MULTILINE)
    directory = re.search(r"^\s*data_directory\s*=?\s*'([^']+)'", text, re.MULTILINE)
    return Postgresql(
        version,
        cluster,
        int(port.group(1)) if port else 5432,
        directory.group(1) if directory else f"/var/lib/postgresql/{version}/{cluster}",
    )


def survey_server(server: Postgresql, wanted: dict[str, Any]) -> dict[str, Any]:
    """One PostgreSQL server: identity, role, content, size and the settings that a copy must match."""
    found: dict[str, Any] = {
        "version": server.version,
        "cluster": server.cluster,
        "port": server.port,
        "data_directory": server.data_directory,
        "exists": Path(server.data_directory, "PG_VERSION").exists(),
        "running": postmaster_pid(server) is not None,
        "role": "stopped",
        "holds_data": holds_user_data(server.data_directory),
        "tablespaces": tablespaces(server.data_directory),
        "system_identifier": None,
        "problem": None,
    }
    try:
        if found["exists"]:
            found["system_identifier"] = control_data(server).system_identifier
        if found["running"]:
            found.update(_survey_running(server, wanted))
    except BackupHaError as error:
        found["problem"] = str(error)
    return {**found, "member": found["holds_data"] and is_member(found)}


def tablespaces(data_directory: str) -> list[str]:
    """Where they are; their names only a running server knows."""
    return sorted(os.path.realpath(link) for link in Path(data_directory, "pg_tblspc").glob("*"))


def is_member(found: dict[str, Any]) -> bool:
    """Whether the data of a surveyed server is a cluster's. Where nobody can be asked, it is when it may be."""
    if was_primary():
        return True
    if "databases" in found:
        return DATABASE in {database["name"] for database in found["databases"]}
    return CONFIG_PATH.exists() and Path(found["data_directory"], "standby.signal").exists()


def psql(server: Postgresql, query: str) -> list[dict[str, Any]]:
    """Rows of a query through psql: a server that is no node yet may lack Python's driver."""
    wrapped = f"SELECT coalesce(json_agg(found), '[]') FROM ({query}) AS found"
    argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-p", str(server.port), "-d", "postgres", "-c", wrapped]
    found: list[dict[str, Any]] = json.loads(run(argv, timeout=20))
    return found


def _survey_running(server: Postgresql, wanted: dict[str, Any]) -> dict[str, Any]:
    compared = (*STANDBY_MINIMUMS.values(), *RESTART_SETTINGS, "archive_mode")
    managed = ", ".join(f"'{name}'" for name in MANAGED_SETTINGS)
    facts = psql(
        server,
        "SELECT pg_is_in_recovery() AS recovering,"
        " (SELECT sum(pg_database_size(oid))::bigint FROM pg_database) AS size",
    )[0]
    present = {
        row["name"]: row["setting"]
        for row in psql(server, "SELECT name, setting FROM pg_settings WHERE context = 'postmaster'")
    }
    restarts, problems = survey_settings(server, present, wanted)
    return {
        "role": "secondary" if facts["recovering"] else "primary",
        "size_bytes": facts["size"],
        "databases": psql(
            server,
            'SELECT datname AS name, datcollate AS "collate", datctype AS ctype FROM pg_database WHERE datallowconn'
            " ORDER BY datname",
        ),
        "tablespaces": [
            row["spcname"]
            for row in psql(server, "SELECT spcname FROM pg_tablespace WHERE oid >= 16384 ORDER BY spcname")
        ],
        "settings": {name: present[name] for name in compared},
        "restarts": restarts,
        "refused_settings": problems,
        "overrides": [
            row["name"]
            for row in psql(
                server,
                "SELECT name FROM pg_settings WHERE sourcefile LIKE '%/postgresql.auto.conf' "
                f"AND name IN ({managed}) ORDER BY name",
            )
        ],
    }


def survey_secrets(paths: list[str]) -> dict[str, int]:
    """The permission bits of files that hold passwords; files that do not exist are left out."""
    return {path: os.stat(path).st_mode & 0o7777 for path in paths if os.path.isfile(path)}
