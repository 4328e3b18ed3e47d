# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates and authorities the nodes get next, so that each node accepts the other one all the while. Pure.

The rule that every round keeps: the authority that signed a node's certificate is trusted by the other node. So a new
authority is trusted first, signs then, and the old one is dropped when it has signed nothing that is in use. Each
round follows from what the nodes have, never from what an earlier one meant to do: interrupted anywhere, it goes on.
Of a node that does not answer it is known that it trusts whoever signed the other one's certificate, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

# An authority that the round makes has no identity yet.
NEW = "new"


@dataclass(frozen=True)
class Held:
    """What a node has, authorities by their identity.

    ``issuer`` is the trusted one that signed its certificate, empty when none did or there is no usable one; ``due``:
    it wants a new one; ``taken_up``: PostgreSQL uses what is there.
    """

    trusts: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    issuer: str = ""
    due: bool = False
    taken_up: bool = True


@dataclass(frozen=True)
class Round:
    """What to do next. ``signer`` makes and signs; then the nodes put it in place, in any order: all, some or none."""

    signer: str
    make: bool = False
    trust: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sign: dict[str, str] = field(default_factory=dict)
    copy: tuple[str, ...] = ()

    @property
    def nodes(self) -> list[str]:
        """Who has something to put in place."""
        return sorted(self.trust)


def next_round(
    nodes: Mapping[str, Held | None],
    since: Mapping[str, float],
    outdated: tuple[str, ...] = (),
    preferred: str = "",
    own: tuple[str, ...] = (),
) -> Round | None:
    """The next round; None when there is nothing left that can be done now.

    ``nodes`` holds None for one that does not answer; ``since`` tells when an authority was made; ``outdated`` are
    those that are to be replaced; ``preferred`` makes an authority where there is none. ``own`` are the user's
    authorities: their certificates are at hand and signed already, and no other authority is wanted.
    """
    here = {name: held for name, held in nodes.items() if held}
    if not here:
        return None
    kept = sorted({key for held in here.values() for key in held.keeps}, key=lambda key: (-since[key], key))
    in_use = {held.issuer for held in here.values()}
    # One that is not in use yet is the replacement.
    make = not own and (not kept or (kept[0] in outdated and kept[0] in in_use))
    wanted = own or ((NEW,) if make else (kept[0],))
    signer = _signer(here, wanted[0], preferred)
    settled = len(here) == len(nodes) and all(_is_settled(held, wanted) for held in here.values())
    known = (*wanted, *kept, *(one for held in here.values() for one in held.trusts))
    trust = wanted if settled else tuple(dict.fromkeys(known))
    sign = {}
    if all(held.taken_up for held in here.values()):
        # What is the user's own can't be signed here by anybody else.
        sign = {name: by for name in here if (by := _authority_for(name, nodes, wanted, () if own else kept))}
    copy = tuple(name for name, held in here.items() if not own and wanted[0] not in held.keeps and name != signer)
    copy = tuple(name for name in copy if here[name].issuer or name in sign)
    changed = {
        name: trust
        for name, held in here.items()
        if name in sign or name in copy or not held.taken_up or {*held.trusts} != {*trust} or {*held.keeps} - {*trust}
    }
    return Round(signer, make, changed, sign, copy) if make or changed else None


def _signer(here: Mapping[str, Held], target: str, preferred: str) -> str:
    """Who keeps the authority; for a new one, who has most to lose: its certificate stays good."""
    keepers = [name for name, held in here.items() if target in held.keeps]
    ranked = sorted(keepers or here, key=lambda name: (not here[name].issuer, name != preferred))
    return ranked[0]


def _is_settled(held: Held, wanted: tuple[str, ...]) -> bool:
    return held.taken_up and not held.due and held.issuer in wanted and {*wanted} <= {*held.trusts}


def _authority_for(name: str, nodes: Mapping[str, Held | None], wanted: tuple[str, ...], kept: Sequence[str]) -> str:
    """Who signs a node's certificate in this round; empty for nobody."""
    held = nodes[name] or Held()
    others = [other for key, other in nodes.items() if key != name]
    if any(other is None for other in others):
        # Where nobody accepts what it has, nothing breaks.
        mine = held.issuer or wanted[0]
        return mine if held.due and mine in (*kept, *wanted) else ""
    accepted = all(not other.trusts or {*wanted} <= {*other.trusts} for other in others if other)
    return wanted[0] if accepted and (held.due or held.issuer not in wanted) else ""


def after(nodes: Mapping[str, Held | None], step: Round, made: str = NEW) -> dict[str, Held | None]:
    """What the nodes have when a round is done; ``made`` becomes the new authority's identity."""

    def named(key: str) -> str:
        return made if key == NEW else key

    found = dict(nodes)
    signer = found[step.signer]
    if step.make and signer:
        found[step.signer] = replace(signer, keeps=(*signer.keeps, made))
    keepers = [one for held in found.values() if held for one in held.keeps]
    for name, trust in step.trust.items():
        held = found[name]
        if held is None:
            continue
        trusts = tuple(named(key) for key in trust)
        keeps = (*held.keeps, *(keepers if name in step.copy else ()))
        held = replace(held, trusts=trusts, keeps=tuple(key for key in dict.fromkeys(keeps) if key in trusts))
        if name in step.sign:
            held = replace(held, issuer=named(step.sign[name]), due=False)
        found[name] = replace(held, taken_up=True)
    return found


def left_over(nodes: Mapping[str, Held | None], since: Mapping[str, float], own: tuple[str, ...] = ()) -> list[str]:
    """What has to wait for a node that did not answer, as sentences."""
    absent = [name for name, held in nodes.items() if held is None]
    here = {name: held for name, held in nodes.items() if held}
    if not absent or not here:
        return []
    who = absent[0]
    said = [f"{who} did not answer; it gets its own when this is run again."]
    for name, held in here.items():
        if held.due and own:
            said.append(
                f"{name} keeps its certificate until then, because {who} may not trust the new one's authority."
            )
        elif held.due:
            said.append(f"{name} keeps its certificate until then: the key of the authority that {who} trusts is lost.")
    kept = sorted({key for held in here.values() for key in held.keeps}, key=lambda key: -since[key])
    if kept and not own and any(held.issuer != kept[0] for held in here.values()):
        said.append("The new authority signs when both nodes trust it; until then the old one is trusted as well.")
    return said
