# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of two servers becomes (or is) the primary. Pure."""

from __future__ import annotations

from ._preflight import Server, Wanted, database_of


def choose_primary(servers: list[Server], wanted: Wanted) -> tuple[str | None, list[str]]:
    """Which server becomes (or is) the primary, and why none can be chosen.

    A server that accepts writes and holds data keeps it, so it is the primary; of two blank ones the inventory's
    word counts, else the first. Words were said of a first time: they give up no data of a cluster.
    """
    if _are_copies(servers):
        return _standing_primary(servers)
    if any(_is_member(server) for server in servers):
        return _member_to_keep(servers)
    names = [server.name for server in servers]
    for option, value in (("initial_primary", wanted.initial_primary), ("erase_secondary", wanted.erase_secondary)):
        if value and value not in names:
            return None, [f"backup_ha_{option} names {value}, which is not one of {' and '.join(names)}."]
    standbys = [s.name for s in servers if database_of(s).get("role") == "secondary"]
    full = [s.name for s in servers if database_of(s).get("holds_data") and s.name not in standbys]
    keep = [name for name in full if name != wanted.erase_secondary]
    if len(keep) > 1:
        return None, [
            f"Both {' and '.join(keep)} hold databases. Name the one whose databases may be erased in "
            "backup_ha_erase_secondary."
        ]
    if keep:
        other = wanted.initial_primary not in ("", keep[0])
        return (None, [_contradiction(wanted, keep[0])]) if other else (keep[0], [])
    wished = [wanted.initial_primary] if wanted.initial_primary else [n for n in names if n != wanted.erase_secondary]
    chosen = next((name for name in wished if name not in standbys), None)
    return (chosen, []) if chosen else (None, [_foreign_standby(wished[0])])


def may_erase(primary: Server, secondary: Server, wanted: Wanted) -> bool:
    """Whether the word of the inventory counts for what the secondary holds: never for a cluster's data."""
    assembled: bool = secondary.found["assembled"]
    ours, theirs = (database_of(server).get("system_identifier") for server in (primary, secondary))
    return wanted.erase_secondary == secondary.name and not (_is_member(secondary) or (assembled and ours == theirs))


def _is_member(server: Server) -> bool:
    return bool(database_of(server).get("member"))


def _are_copies(servers: list[Server]) -> bool:
    """Both are nodes and hold the same system: what the inventory says of a first time is over.

    While the first copy is under way only the secondary is a node. Machines cloned from one template have the same
    system as well, and no node's configuration, or both accept writes, or are new beside a member of the cluster.
    """
    identifiers = {database_of(server).get("system_identifier") for server in servers}
    if len(identifiers) != 1 or None in identifiers:
        return False
    members = [server for server in servers if _is_member(server)]
    writers = [server for server in servers if database_of(server)["role"] == "primary"]
    if members and any(writer not in members for writer in writers):
        return False
    nodes = [server for server in servers if server.found["assembled"]]
    if len(servers) in (len(members), len(nodes)):
        return True
    return len(nodes) == 1 and len(writers) == 1 and writers != nodes


def _member_to_keep(servers: list[Server]) -> tuple[str | None, list[str]]:
    """The one with a cluster's data is the primary, or has to become it before anything else."""
    holder, other = sorted(servers, key=_is_member, reverse=True)
    if _is_member(other):
        return None, [
            f"{servers[0].name} and {servers[1].name} hold the data of different clusters, and "
            "backup_ha_erase_secondary is not meant for that. Give up one of them by hand: pg_dropcluster --stop "
            f"{database_of(other)['version']} {database_of(other)['cluster']}"
        ]
    if database_of(holder)["role"] == "primary":
        return holder.name, []
    state, start = _why_it_does_not_write(holder)
    return None, [
        f"{holder.name} holds the cluster's data and {state}, and {other.name} has no copy of it. {start}"
        f"If the other copy is gone for good, run backup-ha resume --alone on {holder.name}, and this again."
    ]


def _why_it_does_not_write(server: Server) -> tuple[str, str]:
    """What it is instead, and what to do first, if anything."""
    found = database_of(server)
    if found["role"] == "secondary":
        return "is read-only", ""
    state = f"can't be examined: {found['problem'].rstrip('.')}" if found["problem"] else "does not run"
    return state, f"Start PostgreSQL on {server.name}. "


def _standing_primary(servers: list[Server]) -> tuple[str | None, list[str]]:
    roles = {server.name: database_of(server)["role"] for server in servers}
    writers = [name for name, role in roles.items() if role == "primary"]
    if len(writers) == 1:
        return writers[0], []
    if writers:
        return None, [f"Both {' and '.join(writers)} accept writes; see duet.backup_ha.status."]
    listed = ", ".join(f"{name} is {'a standby' if role == 'secondary' else role}" for name, role in roles.items())
    return None, [
        f"The servers hold copies of the same databases, and neither accepts writes ({listed}). Start or resume the "
        "former primary first; duet.backup_ha.status names the command."
    ]


def _foreign_standby(name: str) -> str:
    return (
        f"{name} is a standby of another server, and a cluster's primary has to accept writes. Promote {name}, or name "
        "the other server in backup_ha_initial_primary."
    )


def _contradiction(wanted: Wanted, holder: str) -> str:
    return (
        f"backup_ha_initial_primary names {wanted.initial_primary}, but {holder} holds the databases. Name {holder} "
        f"there, or allow its databases to be erased with backup_ha_erase_secondary: {holder}."
    )
