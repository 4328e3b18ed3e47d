# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from ansible_collections.duet.backup_ha.plugins.module_utils import _pem
from ansible_collections.duet.backup_ha.plugins.module_utils._certificates import normal_names, subject_names
from ansible_collections.duet.backup_ha.plugins.module_utils._own_certificate import Given, refusals

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
except ImportError:  # ansible-core needs it, too
    x509 = None  # type: ignore[assignment]

DOCUMENTATION = r"""
name: own_certificate
short_description: Check a certificate of your own for a node
version_added: 0.2.0
description:
  - Reads on the control node what the user gives as a node's certificate, key and authority. Changes nothing.
  - Returns C(certificate) (with those that follow it) and C(authority) as PEM text, empty without any, C(authorities)
    (what identifies them) and C(refusals) (sentences; none when they will do). Never the key.
positional: node
options:
  _input:
    description: C(certificate), C(key) and C(authority), each as PEM text; all empty for none.
    type: dict
    required: true
  node:
    description: The node's name.
    type: str
    required: true
  names:
    description: The names that the certificate has to hold.
    type: list
    elements: str
    default: []
  addresses:
    description: The addresses that it has to hold.
    type: list
    elements: str
    default: []
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
own: "{{ {'certificate': one, 'key': two, 'authority': three} | duet.backup_ha.own_certificate('node1') }}"
"""

RETURN = r"""
_value:
  description: What was read.
  type: dict
"""

VARIABLES = {
    "certificate": "backup_ha_certificate",
    "key": "backup_ha_certificate_key",
    "authority": "backup_ha_certificate_authority",
}
LONGEST_CHAIN = 8


def own_certificate(
    given: dict[str, str], node: str, names: list[str] | None = None, addresses: list[str] | None = None
) -> dict[str, Any]:
    """Plain data in, plain data out; the decisions are in module_utils/_own_certificate.py."""
    certificates, anchors = _pem.split(given["certificate"]), _pem.split(given["authority"])
    told: dict[str, Any] = {"certificate": "".join(certificates), "authority": "".join(anchors), "refusals": []}
    told["authorities"] = sorted(map(_pem.identity, anchors))
    if any(given.values()):
        wanted = sorted(normal_names(subject_names(list(names or []), list(addresses or []))))
        told["refusals"] = refusals(node, read(given), wanted, time.time())
    return told


def read(given: dict[str, str]) -> Given:
    """Everything that the judgement needs; of a key only whether it fits."""
    unreadable = tuple(problem for name in VARIABLES if (problem := _unreadable(name, given[name])))
    if unreadable:
        return Given(unreadable=unreadable)
    leaf, *between = [x509.load_pem_x509_certificate(pem.encode()) for pem in _pem.split(given["certificate"])]
    anchors = [x509.load_pem_x509_certificate(pem.encode()) for pem in _pem.split(given["authority"])]
    key = load_pem_private_key(given["key"].encode(), None)
    uses = _uses(leaf)
    return Given(
        names=_names(leaf),
        common_name=_common_name(leaf.subject),
        since=leaf.not_valid_before_utc.timestamp(),
        until=leaf.not_valid_after_utc.timestamp(),
        for_servers=not uses or "1.3.6.1.5.5.7.3.1" in uses,
        for_clients=not uses or "1.3.6.1.5.5.7.3.2" in uses,
        key_fits=_public(key.public_key()) == _public(leaf.public_key()),
        unverified=_unverified(leaf, between, anchors),
    )


def _unreadable(name: str, text: str) -> str:
    """Why one of the three can't be read; never what is in it."""
    variable = VARIABLES[name]
    if not text:
        return f"{variable} is empty; {', '.join(VARIABLES.values())} are needed together."
    if x509 is None:
        return "The control node lacks the Python library cryptography, which reads certificates."
    try:
        if name == "key":
            load_pem_private_key(text.encode(), None)
        elif not [x509.load_pem_x509_certificate(pem.encode()) for pem in _pem.split(text)]:
            return f"{variable} holds no certificate; it needs PEM text, or the path of a file on the control node."
    except TypeError:
        return f"{variable} is protected by a password; PostgreSQL needs a key without one."
    except ValueError:
        return f"{variable} can't be read; it needs PEM text, or the path of a file on the control node."
    return ""


def _names(certificate: Any) -> frozenset[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    names = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    return frozenset(normal_names(subject_names(names, [str(address) for address in addresses])))


def _common_name(name: Any) -> str:
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _uses(certificate: Any) -> set[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return set()
    return {use.dotted_string for use in found}


def _public(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _unverified(leaf: Any, between: list[Any], anchors: list[Any]) -> str:
    """Follow the signatures from the certificate up to one of the authorities."""
    current = leaf
    for _step in range(LONGEST_CHAIN):
        for anchor in anchors:
            if _issued(current, anchor):
                return "" if _is_valid(anchor) else f"its authority {anchor.subject.rfc4514_string()} is not valid now"
        above = [one for one in between if one is not current and _issued(current, one)]
        if not above:
            break
        current = above[0]
        if not _is_valid(current):
            return f"{current.subject.rfc4514_string()} is not valid now"
    return f"it was signed by {current.issuer.rfc4514_string()}, which is not there"


def _issued(certificate: Any, issuer: Any) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # whatever it says, this one did not sign it  # noqa: BLE001
        return False
    return True


def _is_valid(certificate: Any) -> bool:
    now = datetime.now(certificate.not_valid_after_utc.tzinfo)
    return bool(certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc)


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"own_certificate": own_certificate}
