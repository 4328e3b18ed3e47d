# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's own key and certificate, and whom it trusts: what is there, what is wrong with it, and how it is replaced.

The key is made where it is used and never travels. One certificate serves both directions: its name is the
replication role's (what PostgreSQL's certificate authentication compares), its alternative names are the node's.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import Any

from . import _authority, _pem
from ._config import REPLICATION_ROLE, TLS_DIRECTORY
from ._system import remove_durably, run, write_durably

RENEW_BEFORE_S = 90 * 24 * 3600
OWNER = "postgres"
# There while PostgreSQL may not use yet what was written.
PENDING = TLS_DIRECTORY / "pending"


def ensure_key(path: Path) -> bool:
    """Make an elliptic-curve key that PostgreSQL may read, and root, and nobody else. True when there was none."""
    made = not path.exists()
    if made:
        write_durably(path, _authority.new_key(), mode=0o600)
    status, owner = path.stat(), pwd.getpwnam(OWNER)
    if (status.st_uid, status.st_gid, status.st_mode & 0o7777) != (owner.pw_uid, owner.pw_gid, 0o600):
        path.chmod(0o600)
        os.chown(path, owner.pw_uid, owner.pw_gid)
    return made


def subject_names(names: list[str], addresses: list[str]) -> str:
    """The subjectAltName in openssl's notation.

    >>> subject_names(["backup.example.org"], ["192.0.2.10"])
    'DNS:backup.example.org,IP:192.0.2.10'
    """
    return ",".join([f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses])


def signing_request(key: Path) -> str:
    return run(["openssl", "req", "-new", "-key", str(key), "-subj", f"/CN={REPLICATION_ROLE}"])


def certificate_problem(directory: Path, wanted: str) -> str | None:
    """Why the node needs a new certificate; None when the present one is good for another 90 days."""
    certificate, ca, key = directory / "node.crt", directory / "ca.crt", directory / "node.key"
    if not (_pem.read_all(certificate) and _pem.read_all(ca) and key.exists()):
        return "it has none"
    if not issuer_of(certificate, _pem.read_all(ca)):
        return "the cluster's authority did not sign it"
    path = str(certificate)
    if "will expire" in run(["openssl", "x509", "-in", path, "-noout", "-checkend", str(RENEW_BEFORE_S)], check=False):
        return "it expires soon"
    if not fits(certificate, key):
        return "it belongs to another key"
    return None if _names_of(certificate) == normal_names(wanted) else "its names differ"


def fits(certificate: Path, key: Path) -> bool:
    public = run(["openssl", "pkey", "-in", str(key), "-pubout"], check=False)
    return public != "" and public == run(
        ["openssl", "x509", "-in", str(certificate), "-noout", "-pubkey"], check=False
    )


def issuer_of(certificate: Path, trusted: list[str]) -> str:
    """Which of these authorities signed it, by its identity; empty for none. Time plays no part."""
    found, between = [], ["-untrusted", str(certificate)]
    with tempfile.TemporaryDirectory() as scratch:
        ca = Path(scratch, "ca")
        for pem in trusted:
            ca.write_text(pem, encoding="ascii")
            verify = ["openssl", "verify", "-no_check_time", "-no-CApath", "-no-CAstore", "-CAfile", str(ca)]
            # What follows it leads to further authorities; the one that signed it itself comes first.
            found.append([": OK" in run([*verify, *more, str(certificate)], check=False) for more in ([], between)])
    direct = [pem for pem, (itself, _led) in zip(trusted, found, strict=True) if itself]
    led = [pem for pem, (_itself, led) in zip(trusted, found, strict=True) if led]
    return _pem.identity((direct + led)[0]) if led or direct else ""


def _names_of(certificate: Path) -> set[str]:
    text = run(["openssl", "x509", "-in", str(certificate), "-noout", "-ext", "subjectAltName"])
    names = text.split("\n", 1)[1] if "\n" in text else ""
    return normal_names(names.replace("IP Address:", "IP:"))


def normal_names(listed: str) -> set[str]:
    """Alternative names in one spelling: openssl writes IPv6 addresses in its own.

    >>> sorted(normal_names("DNS:a.example.org, IP:2001:DB8:0:0:0:0:0:10"))
    ['DNS:a.example.org', 'IP:2001:db8::10']
    """
    parts = [part.strip().partition(":") for part in listed.split(",") if part.strip()]
    return {f"{kind}:{ipaddress.ip_address(value) if kind == 'IP' else value}" for kind, _colon, value in parts}


def held(wanted: str) -> dict[str, Any]:
    """What this node has, for the plan: plain data, and nothing secret."""
    certificate, key = TLS_DIRECTORY / "node.crt", TLS_DIRECTORY / "node.key"
    trusted, own = _pem.read_all(TLS_DIRECTORY / "ca.crt"), _pem.read_all(certificate)
    keeps = [authority.pem for authority in _authority.kept()]
    known = {found.id: found for found in map(_pem.describe, dict.fromkeys([*trusted, *keeps]))}
    usable = bool(own) and key.exists() and fits(certificate, key)
    return {
        "problem": certificate_problem(TLS_DIRECTORY, wanted),
        "certificate": own[0] if own else "",
        "issuer": issuer_of(certificate, trusted) if usable else "",
        "trusts": [_pem.identity(pem) for pem in trusted],
        "keeps": [_pem.identity(pem) for pem in keeps],
        "authorities": {name: {"pem": a.pem, "since": a.since, "until": a.until} for name, a in known.items()},
        "taken_up": not PENDING.exists(),
    }


def install(certificate: str, trusted: list[str], key: str = "") -> None:
    """Replace certificate and trusted authorities, each as a whole. What is trusted comes first: it is wider."""
    TLS_DIRECTORY.mkdir(parents=True, exist_ok=True)
    PENDING.touch()
    write_durably(TLS_DIRECTORY / "ca.crt", "".join(trusted))
    if key:
        _install_pair(certificate, key)
    elif certificate:
        write_durably(TLS_DIRECTORY / "node.crt", certificate)


def _install_pair(certificate: str, key: str) -> None:
    """A certificate with another key: both at once, by one link, because PostgreSQL does not start with one of each."""
    names, pair = ("node.crt", "node.key"), TLS_DIRECTORY / "pair"
    if not all(os.path.islink(TLS_DIRECTORY / name) for name in names):
        present = [(TLS_DIRECTORY / name) for name in names]
        if all(path.exists() for path in present):
            _point(pair, _write_pair(*(path.read_text(encoding="utf-8") for path in present)))
        else:
            _point(pair, _write_pair(certificate, key))
        for name in names:
            _point(TLS_DIRECTORY / name, Path("pair", name))
    _point(pair, _write_pair(certificate, key))
    for path in TLS_DIRECTORY.glob("pair-*"):
        if path.name != os.readlink(pair):
            shutil.rmtree(path)


def _write_pair(certificate: str, key: str) -> Path:
    """A folder with both, named after the certificate; returns its name."""
    folder = TLS_DIRECTORY / f"pair-{_pem.identity(_pem.split(certificate)[0])}"
    write_durably(folder / "node.crt", certificate)
    write_durably(folder / "node.key", key, mode=0o600)
    ensure_key(folder / "node.key")
    return Path(folder.name)


def _point(link: Path, target: Path) -> None:
    """Let a link lead there, at once."""
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)


def taken_up() -> None:
    remove_durably(PENDING)


__all__ = ["TLS_DIRECTORY", "certificate_problem", "ensure_key", "held", "install"]
