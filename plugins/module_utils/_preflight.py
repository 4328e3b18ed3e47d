# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two servers can become one cluster: every reason why not, each a sentence that says what to change. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from ._lsn import format_bytes
from ._packages import describe_differences

# What a cluster needs besides its data: WAL, temporary files, the frame of a new one.
ROOM = 256 * 1024 * 1024


@dataclass(frozen=True)
class Server:
    """One of the two servers: its inventory name, its address, what survey() found, and its clock's offset in seconds
    against the control node, with the error of that measurement."""

    name: str
    address: str
    found: dict[str, Any]
    clock_offset_s: float = 0.0
    clock_error_s: float = 0.0


@dataclass(frozen=True)
class Wanted:
    """The cluster as the inventory describes it."""

    endpoint_address: str
    endpoint_name: str = ""
    initial_primary: str = ""
    erase_secondary: str = ""
    maximum_clock_difference_s: float = 1.0


def membership_refusals(cluster: str, hosts: list[str]) -> list[str]:
    """A cluster is an inventory group of exactly two hosts."""
    if len(hosts) == 2:
        return []
    listed = ", ".join(hosts) or "none"
    return [f"The cluster group '{cluster}' has {len(hosts)} hosts ({listed}); it needs exactly two."]


def database_of(server: Server) -> dict[str, Any]:
    """Its PostgreSQL server as surveyed; empty when it has none."""
    return server.found["postgresql"]["server"] or {}


def refusals(primary: Server, secondary: Server, wanted: Wanted) -> list[str]:
    """Every reason why these two servers must not be paired; none when they may."""
    return (
        _half_made(primary)
        + _half_made(secondary)
        + _platform(primary, secondary)
        + _versions(primary, secondary)
        + describe_differences(
            primary.name,
            primary.found["package_versions"],
            secondary.name,
            secondary.found["package_versions"],
        )
        + _clocks(primary, secondary, wanted)
        + _addresses(primary, secondary, wanted)
        + _names(primary, secondary, wanted)
        + _databases(primary, secondary, wanted)
        + _secrets(primary)
        + _secrets(secondary)
    )


def restarts(primary: Server) -> list[str]:
    """Settings for which the existing primary's PostgreSQL has to be restarted, once."""
    return list(database_of(primary).get("restarts", []))


def _half_made(server: Server) -> list[str]:
    return [
        f"On {server.name}, {path} belongs to a PostgreSQL cluster that has no postgresql.conf: its creation was "
        f"interrupted, or it was removed by half. Move it away: mv {path} {path}.old"
        for path in server.found["postgresql"]["half_made"]
    ]


def _platform(primary: Server, secondary: Server) -> list[str]:
    reasons = []
    for what, label in (("architecture", "architecture"), ("glibc", "glibc version"), ("icu", "ICU version")):
        ours, theirs = primary.found[what], secondary.found[what]
        if ours and theirs and ours != theirs:
            reasons.append(
                f"{secondary.name} has the {label} {theirs}, {primary.name} has {ours}; both must be the same, "
                "because indexes depend on it. Bring both servers to the same release."
            )
    return reasons


def _major(server: Server) -> str | None:
    postgresql = server.found["postgresql"]
    if postgresql["server"]:
        return str(postgresql["server"]["version"])
    version: str | None = postgresql["installed"][-1] if postgresql["installed"] else postgresql["available"]
    return version


def _versions(primary: Server, secondary: Server) -> list[str]:
    reasons = [
        f"{server.name} has no PostgreSQL, and its package sources offer none. Refresh or add package sources."
        for server in (primary, secondary)
        if _major(server) is None
    ]
    ours, theirs = _major(primary), _major(secondary)
    if ours in secondary.found["postgresql"]["installed"] and not database_of(secondary):
        theirs = ours
    if ours and theirs and ours != theirs:
        reasons.append(
            f"{secondary.name} has PostgreSQL {theirs}, {primary.name} has PostgreSQL {ours}; the major versions must "
            f"be the same. Install postgresql-{ours} on {secondary.name}, or upgrade {primary.name} first."
        )
    return reasons


def _secrets(server: Server) -> list[str]:
    return [
        f"On {server.name}, {path} holds passwords and is readable by everybody (mode {mode:04o}). "
        f"Take that right away: chmod o-rwx {path}"
        for path, mode in sorted(server.found["secret_files"].items())
        if mode & 0o007
    ]


def _clocks(primary: Server, secondary: Server, wanted: Wanted) -> list[str]:
    difference = abs(primary.clock_offset_s - secondary.clock_offset_s)
    error = primary.clock_error_s + secondary.clock_error_s
    if difference - error <= wanted.maximum_clock_difference_s:
        return []
    return [
        f"The clocks of {primary.name} and {secondary.name} differ by {difference:.1f} s; "
        f"{wanted.maximum_clock_difference_s:g} s are allowed. Synchronise them (chrony or systemd-timesyncd)."
    ]


def _addresses(primary: Server, secondary: Server, wanted: Wanted) -> list[str]:
    try:
        endpoint = ipaddress.ip_address(wanted.endpoint_address)
        nodes = {server.name: ipaddress.ip_address(server.address) for server in (primary, secondary)}
    except ValueError as error:
        return [f"{error}; write addresses as numbers."]
    reasons = []
    for name, address in nodes.items():
        if address.version != endpoint.version:
            reasons.append(
                f"The endpoint {endpoint} is an IPv{endpoint.version} address, {name} has the IPv{address.version} "
                f"address {address}; all three must be of one family."
            )
        elif address == endpoint:
            reasons.append(f"The endpoint {endpoint} is {name}'s own address; it must be an address of its own.")
    if reasons:
        return reasons
    if len(set(nodes.values())) == 1:
        return [f"{primary.name} and {secondary.name} have the same address {primary.address}."]
    # The cluster's own primary answers for the endpoint when this runs again; one that boots just now may take it
    # after it was asked whether it holds it, so what tells them apart from a stranger is the hardware address.
    ours = {interface["mac"] for server in (primary, secondary) for interface in server.found["interfaces"]}
    for server in (primary, secondary):
        reasons += _endpoint_place(server, endpoint, ours)
    return reasons


def _endpoint_place(
    server: Server, endpoint: ipaddress.IPv4Address | ipaddress.IPv6Address, ours: set[str]
) -> list[str]:
    found = server.found["endpoint"]
    if found["interface"] is None:
        networks = sorted(
            str(ipaddress.ip_interface(a).network) for i in server.found["interfaces"] for a in i["addresses"]
        )
        return [
            f"The endpoint {endpoint} is outside the subnets of {server.name} ({', '.join(networks) or 'none'}); "
            "choose a free address inside a subnet that both servers share."
        ]
    if found["answered_by"] and found["answered_by"] not in ours:
        return [
            f"The endpoint {endpoint} is already in use: {found['answered_by']} answers for it on {server.name}'s "
            f"interface {found['interface']}. Choose a free address, or take it from that machine."
        ]
    return []


def _names(primary: Server, secondary: Server, wanted: Wanted) -> list[str]:
    """The endpoint's name must lead to its address, and its address back to its name, on both servers."""
    if not wanted.endpoint_name:
        return []
    reasons = []
    for server in (primary, secondary):
        forward = server.found["resolves"].get(wanted.endpoint_name, [])
        back = server.found["reverse"].get(wanted.endpoint_address, [])
        if wanted.endpoint_address not in forward:
            reasons.append(
                f"On {server.name} the name {wanted.endpoint_name} leads to {', '.join(forward) or 'no address'} "
                f"instead of {wanted.endpoint_address}. Correct the DNS entry or /etc/hosts."
            )
        elif wanted.endpoint_name not in back:
            reasons.append(
                f"On {server.name} the address {wanted.endpoint_address} leads back to {', '.join(back) or 'no name'} "
                f"instead of {wanted.endpoint_name}. Correct the reverse DNS entry or /etc/hosts."
            )
    return reasons


def _databases(primary: Server, secondary: Server, wanted: Wanted) -> list[str]:
    ours, theirs = database_of(primary), database_of(secondary)
    reasons = []
    if ours.get("problem"):
        reasons.append(f"PostgreSQL on {primary.name} can't be examined: {ours['problem']}")
    if ours.get("exists") and not ours.get("running"):
        reasons.append(f"PostgreSQL on {primary.name} is stopped; start it, so that its databases can be examined.")
    if ours.get("refused_settings"):
        reasons.append(
            f"PostgreSQL on {primary.name} does not accept what backup_ha_postgresql_settings wants: "
            f"{'; '.join(ours['refused_settings'])}. Correct the variable."
        )
    if ours.get("overrides"):
        reasons.append(
            f"On {primary.name}, ALTER SYSTEM has set {', '.join(ours['overrides'])}, which the cluster has to manage. "
            "Undo it with ALTER SYSTEM RESET."
        )
    reasons += _tablespaces(primary) + _tablespaces(secondary)
    reasons += _foreign_data(primary, secondary, ours, theirs, wanted)
    return reasons + _locales(primary, secondary, ours) + _space(primary, secondary, ours, theirs)


def _tablespaces(server: Server) -> list[str]:
    found = database_of(server).get("tablespaces")
    return [f"{server.name} has tablespaces ({', '.join(found)}); they can't be replicated yet."] if found else []


def _foreign_data(
    primary: Server, secondary: Server, ours: dict[str, Any], theirs: dict[str, Any], wanted: Wanted
) -> list[str]:
    same = ours.get("system_identifier") and ours.get("system_identifier") == theirs.get("system_identifier")
    # Two writers of one system are clones of one machine.
    copy = same and not ours["role"] == theirs["role"] == "primary"
    if not theirs.get("holds_data") or copy or wanted.erase_secondary == secondary.name:
        return []
    names = [d["name"] for d in theirs.get("databases", []) if d["name"] not in ("template1", "postgres")]
    listed = f" ({', '.join(names)})" if names else ""
    return [
        f"{secondary.name} holds databases of its own{listed}; a copy of {primary.name} would replace them. "
        f"Move them away, or allow it with backup_ha_erase_secondary: {secondary.name}."
    ]


def _locales(primary: Server, secondary: Server, ours: dict[str, Any]) -> list[str]:
    available = {_plain(name) for name in secondary.found["locales"]} | {"c", "posix", "c.utf8"}
    needed = {d[key] for d in ours.get("databases", []) for key in ("collate", "ctype")}
    missing = sorted(name for name in needed if _plain(name) not in available)
    if not missing:
        return []
    return [
        f"{secondary.name} lacks the locale {', '.join(missing)} that databases on {primary.name} use. "
        "Generate it there."
    ]


def _plain(locale: str) -> str:
    """A locale's name as ``locale -a`` prints it: the code set without punctuation.

    >>> _plain("de_DE.ISO-8859-15@euro")
    'de_de.iso885915@euro'
    """
    return re.sub(r"\.[^@]*", lambda found: "." + re.sub(r"\W", "", found[0]), locale).lower()


def _space(primary: Server, secondary: Server, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Room for PostgreSQL on both servers, and for the copy on the secondary."""
    same = ours.get("system_identifier") and ours.get("system_identifier") == theirs.get("system_identifier")
    if same:
        return []
    copy = int(ours.get("size_bytes", 0) * 1.05)
    reasons = []
    for server, needed, purpose in (
        (primary, ROOM, "PostgreSQL"),
        (secondary, ROOM + copy, f"the copy of {primary.name}"),
    ):
        free = server.found["postgresql"]["free_bytes"]
        if free < needed:
            reasons.append(
                f"{server.name} has {format_bytes(free)} free under /var/lib/postgresql; {format_bytes(needed)} are "
                f"needed for {purpose}. Free or add space."
            )
    return reasons
