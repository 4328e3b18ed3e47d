# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Bacula configuration means for a cluster: who lives where, what speaks against it, what has to change. Pure.

Passwords never leave this module.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ._bacula import Configuration, Directive, Token, normalised

DIRECTOR_PORT = 9101
# What of each kind is reported, and under which keywords it has addresses.
KINDS = {
    "directors": (("director",), ("diraddress", "diraddresses", "dirsourceaddress", "address")),
    "storages": (("storage", "autochanger"), ("address", "sdaddress", "fdstorageaddress")),
    "clients": (("client",), ("address", "fdaddress")),
    "catalogs": (("catalog",), ("dbaddress", "address")),
}
# The two storages that Debian's example configuration comes with. They are no repository: their device does not exist.
_EXAMPLES = {("file1", "filechgr1", "file1"), ("file2", "filechgr2", "file2")}


@dataclass(frozen=True)
class Cluster:
    """Addresses, as numbers, of the nodes by name and of the endpoint."""

    nodes: dict[str, str]
    endpoint: str = ""

    def owner(self, resolved: dict[str, Any]) -> str | None:
        """Whose the address is, in words; None for any other host.

        >>> Cluster({"a": "192.0.2.1"}).owner({"address": "192.0.2.1", "local": False})
        'the node a'
        """
        address = ipaddress.ip_address(resolved["address"])
        if address.is_loopback:
            return "the node itself"
        if str(address) == self.endpoint:
            return "the cluster's endpoint"
        names = [name for name, number in self.nodes.items() if number == str(address)]
        return f"the node {names[0]}" if names else ("the node itself" if resolved["local"] else None)


@dataclass(frozen=True)
class Edit:
    """One value to replace in a file; ``start`` and ``stop`` are offsets in its text.

    ``text`` takes the place of more than the value: of the whole directive.
    """

    file: str
    line: int
    keyword: str
    before: str
    after: str
    start: int
    stop: int
    text: str | None = None

    @property
    def directive(self) -> str:
        """What is there afterwards."""
        return f"{self.keyword} = {self.after}" if self.text is None else self.text


def summary(configuration: Configuration) -> dict[str, list[dict[str, Any]]]:
    """Directors, storages, clients and catalogs as plain data, with file and line."""
    return {
        what: [_describe(resource, addresses) for resource in configuration.of_kind(*kinds)]
        for what, (kinds, addresses) in KINDS.items()
    }


def _describe(resource: Directive, keywords: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": resource.keyword,
        "name": resource.text("name") or "",
        "file": resource.file,
        "line": resource.line,
        "addresses": [
            {"keyword": directive.keyword, "address": value.text, "file": value.file, "line": value.line}
            for directive in resource.find(*keywords)
            for value in _address_values(directive)
        ],
    }
    if resource.name == "catalog":
        found["database"] = resource.text("dbname", "database") or ""
        found["socket"] = resource.text("dbsocket")
    if resource.name in ("storage", "autochanger"):
        device = (resource.text("name") or "", resource.text("device") or "", resource.text("mediatype") or "")
        found["example"] = tuple(text.lower() for text in device) in _EXAMPLES
    return found


def _address_values(directive: Directive) -> Iterable[Token]:
    """``DirAddress = A``, or ``DirAddresses = { ip = { addr = A; port = P } … }``."""
    yield from directive.values[:1]
    for inner in directive.block:
        for address in inner.find("addr"):
            yield from address.values[:1]


def refusals(found: dict[str, Any], cluster: Cluster, allow_local_repository: bool = False) -> list[str]:
    """Why this configuration can't serve a cluster: whole sentences. ``found`` is a summary with resolved addresses."""
    reasons = [f"{p['file']}:{p['line']}: {p['message']}." for p in found["problems"]]
    if not allow_local_repository:
        for storage in found["storages"]:
            reasons += _storage_refusals(storage, cluster)
    for director in found["directors"]:
        reasons += _director_refusals(director, cluster)
    for catalog in found["catalogs"]:
        reasons += _catalog_refusals(catalog, cluster)
    return reasons


def _storage_refusals(storage: dict[str, Any], cluster: Cluster) -> list[str]:
    if storage["example"] and all(set(_owners(a, cluster)) == {"the node itself"} for a in storage["addresses"]):
        return []
    return [
        f"{_where(storage, address)}, which is {owner}; a repository on a node is out of reach when the node is. "
        "Move it to another host, or set backup_ha_allow_local_repository."
        for address in storage["addresses"]
        for owner in _owners(address, cluster)[:1]
    ]


def _director_refusals(director: dict[str, Any], cluster: Cluster) -> list[str]:
    """A single DirAddress is changed by the role; more than that is for the administrator to decide."""
    return [
        f"{_where(director, address)}, which the other node does not have. Use 0.0.0.0, the endpoint's address, or no "
        f"{address['keyword']} at all."
        for address in director["addresses"]
        if normalised(address["keyword"]) in ("diraddresses", "dirsourceaddress")
        for owner in _owners(address, cluster)[:1]
        if owner != "the cluster's endpoint"
    ]


def _catalog_refusals(catalog: dict[str, Any], cluster: Cluster) -> list[str]:
    return [
        f"{_where(catalog, address)}; on the other node that is not the database next to the Director. Use localhost."
        for address in catalog["addresses"]
        for resolved in address["resolved"]
        if not ipaddress.ip_address(resolved["address"]).is_loopback
        and cluster.owner(resolved) != "the cluster's endpoint"
    ]


def _owners(address: dict[str, Any], cluster: Cluster) -> list[str]:
    """Who of the cluster has one of the addresses; an address that means all of them is nobody's."""
    numbers = [r for r in address["resolved"] if not ipaddress.ip_address(r["address"]).is_unspecified]
    return [owner for owner in map(cluster.owner, numbers) if owner is not None]


def _where(resource: dict[str, Any], address: dict[str, Any]) -> str:
    return (
        f"{resource['kind']} '{resource['name']}' has {address['keyword']} = {address['address']} "
        f"in {address['file']}:{address['line']}"
    )


def plan_edits(
    configuration: Configuration, keywords: Iterable[str], address: str, replaceable: Iterable[str]
) -> list[Edit]:
    """What to replace so that no Director resource has one of the ``replaceable`` values under these keywords."""
    wanted, gone = [normalised(keyword) for keyword in keywords], set(replaceable)
    return [
        edit
        for director in configuration.of_kind("director")
        for directive in director.find(*wanted)
        for value in directive.values[:1]
        if value.text in gone and value.text != address
        for edit in _edits(director, directive, value, address)
    ]


def _edits(director: Directive, directive: Directive, value: Token, address: str) -> list[Edit]:
    """DirAddress means IPv4 alone, and what means IPv6 must not stand beside DirPort (Bacula 9.6, address_conf.c)."""
    if directive.name != "diraddress" or ":" not in address:
        return [Edit(value.file, value.line, directive.keyword, value.text, address, value.start, value.stop)]
    block = f"DirAddresses = {{ ipv6 = {{ addr = {address}; port = {director.text('dirport') or DIRECTOR_PORT} }} }}"
    return [
        Edit(value.file, value.line, directive.keyword, value.text, address, directive.start, value.stop, block),
        *(
            Edit(token.file, token.line, port.keyword, token.text, "", port.start, token.stop, "")
            for port in director.find("dirport")
            for token in port.values[:1]
        ),
    ]


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text of one file with its edits made; a value in quotes stays in quotes."""
    for edit in sorted(edits, key=lambda e: e.start, reverse=True):
        quote = '"' if text[edit.start] == '"' else ""
        replaced = f"{quote}{edit.after}{quote}" if edit.text is None else edit.text
        text = text[: edit.start] + replaced + text[edit.stop :]
    return text
