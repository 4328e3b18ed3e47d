# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from typing import Any

from ansible_collections.duet.backup_ha.plugins.module_utils import _pem
from ansible_collections.duet.backup_ha.plugins.module_utils._certificate_plan import (
    NEW,
    Held,
    Round,
    after,
    left_over,
    next_round,
)

DOCUMENTATION = r"""
name: certificate_plan
short_description: Decide which certificates and authorities the nodes get next
version_added: 0.2.0
description:
  - Judges what M(duet.backup_ha.node_key) found on both nodes. Changes nothing.
  - Returns C(done); C(signer); C(make), C(sign) and C(copies) as M(duet.backup_ha.node_certificate) takes them;
    C(trust), for each node that gets something the authorities that it is to trust, as PEM text, in which an empty text
    stands for the one that is made; C(last), whether nothing is left afterwards; and C(waits), sentences about what has
    to wait for a node that did not answer.
options:
  _input:
    description: For each node's name what was found, or an empty value when it did not answer.
    type: dict
    required: true
  first:
    description: The same, as it was when the operation began.
    type: dict
    default: {}
  renew:
    description: Whether every node gets a new certificate.
    type: bool
    default: false
  renew_authority:
    description: Whether there has to be a new authority.
    type: bool
    default: false
  own:
    description: For each node's name C(certificate) and C(authority), as PEM text, where they are the user's own.
    type: dict
    default: {}
  preferred:
    description: The node that makes an authority, where there is none.
    type: str
    default: ""
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
plan: "{{ {'node1': one, 'node2': two} | duet.backup_ha.certificate_plan }}"
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
"""

# As for a node's certificate, see _certificates.py.
RENEW_BEFORE_S = 90 * 24 * 3600


def certificate_plan(
    found: dict[str, dict[str, Any] | None],
    first: dict[str, dict[str, Any] | None] | None = None,
    renew: bool = False,
    renew_authority: bool = False,
    preferred: str = "",
    own: dict[str, dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Plain data in, plain data out; the decisions are in module_utils/_certificate_plan.py."""
    before, theirs = first or found, own or {}
    nodes = {
        name: _held(facts, renew and _same_certificate(facts, before.get(name)), theirs.get(name)) if facts else None
        for name, facts in found.items()
    }
    given = {_pem.identity(pem): pem for one in theirs.values() for pem in _pem.split(one["authority"])}
    authorities = {key: one for facts in found.values() if facts for key, one in facts["authorities"].items()}
    outdated = [key for key, one in authorities.items() if one["until"] < time.time() + RENEW_BEFORE_S]
    if renew_authority:
        outdated += [key for facts in before.values() if facts for key in facts["keeps"]]
    since = {NEW: time.time(), **{key: one["since"] for key, one in authorities.items()}}
    terms: dict[str, Any] = {"outdated": tuple(outdated), "preferred": preferred, "own": tuple(given)}
    step = next_round(nodes, since, **terms)
    then = after(nodes, step) if step else nodes
    last = step is None or next_round(then, since, **terms) is None
    pem = {NEW: "", **given, **{key: one["pem"] for key, one in authorities.items()}}
    waits = left_over(then, since, tuple(given))
    return {"done": step is None, "last": last, "waits": waits, **_told(step or Round(""), pem)}


def _told(step: Round, pem: dict[str, str]) -> dict[str, Any]:
    return {
        "signer": step.signer,
        "make": step.make,
        "sign": step.sign,
        "copies": list(step.copy),
        "trust": {name: [pem[key] for key in trust] for name, trust in step.trust.items()},
    }


def _held(facts: dict[str, Any], renewed: bool, own: dict[str, str] | None) -> Held:
    due = bool(facts["problem"]) or renewed
    if own:
        due = not facts["issuer"] or _pem.identity(facts["certificate"]) != _pem.identity(
            _pem.split(own["certificate"])[0]
        )
    return Held(tuple(facts["trusts"]), tuple(facts["keeps"]), facts["issuer"], due, facts["taken_up"])


def _same_certificate(facts: dict[str, Any], before: dict[str, Any] | None) -> bool:
    return bool(facts["certificate"] == (before or {}).get("certificate", ""))


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"certificate_plan": certificate_plan}
