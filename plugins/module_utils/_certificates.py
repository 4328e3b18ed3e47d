# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes' keys, the cluster's certificate authority and what it signs. All by the openssl command.

Private keys are made where they are used and never travel. One certificate serves both directions: its name is the
replication role's (what PostgreSQL's certificate authentication compares), its alternative names are the node's.
"""

from __future__ import annotations

import grp
import ipaddress
import os
import tempfile
from pathlib import Path

from ._config import REPLICATION_ROLE, TLS_DIRECTORY
from ._system import run, write_durably

CA_DIRECTORY = Path("/etc/backup-ha/ca")
DAYS = 3650
RENEW_BEFORE_S = 90 * 24 * 3600


def ensure_key(path: Path, group: str) -> bool:
    """Make an elliptic-curve key that root and ``group`` may read. True when there was none."""
    made = not path.exists()
    if made:
        key = run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
        write_durably(path, key, mode=0o600)
    os.chown(path, 0, grp.getgrnam(group).gr_gid)
    path.chmod(0o640 if group != "root" else 0o600)
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
    if not (certificate.exists() and ca.exists() and key.exists()):
        return "it has none"
    path = str(certificate)
    if not _good(certificate, ca):
        return "the cluster's authority did not sign it"
    if "will expire" in run(["openssl", "x509", "-in", path, "-noout", "-checkend", str(RENEW_BEFORE_S)], check=False):
        return "it expires soon"
    if run(["openssl", "x509", "-in", path, "-noout", "-pubkey"]) != run(
        ["openssl", "pkey", "-in", str(key), "-pubout"]
    ):
        return "it belongs to another key"
    return None if _names_of(certificate) == normal_names(wanted) else "its names differ"


def _good(certificate: Path, ca: Path) -> bool:
    return ": OK" in run(["openssl", "verify", "-CAfile", str(ca), str(certificate)], check=False)


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


def ensure_authority(cluster: str) -> bool:
    """Make the cluster's certificate authority on this node. True when there was none."""
    key, certificate = CA_DIRECTORY / "ca.key", CA_DIRECTORY / "ca.crt"
    made = ensure_key(key, "root")
    CA_DIRECTORY.chmod(0o700)
    if made or not certificate.exists():
        argv = [
            "openssl",
            "req",
            "-x509",
            "-new",
            "-key",
            str(key),
            "-days",
            str(DAYS),
            "-subj",
            f"/CN=backup-ha {cluster}",
        ]
        argv += ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        write_durably(certificate, run(argv))
        return True
    return False


def sign(request: str, names: str) -> str:
    """Sign a request with the authority of this node; ``names`` as subject_names() gives them."""
    extensions = (
        f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n"
        "keyUsage=critical,digitalSignature\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        csr, ext = Path(scratch, "node.csr"), Path(scratch, "extensions")
        csr.write_text(request, encoding="ascii")
        ext.write_text(extensions, encoding="ascii")
        argv = ["openssl", "x509", "-req", "-in", str(csr), "-extfile", str(ext), "-days", str(DAYS)]
        argv += ["-CA", str(CA_DIRECTORY / "ca.crt"), "-CAkey", str(CA_DIRECTORY / "ca.key"), "-set_serial"]
        return run([*argv, str(int.from_bytes(os.urandom(8), "big"))])


def read_authority() -> str:
    return (CA_DIRECTORY / "ca.crt").read_text(encoding="ascii")


__all__ = ["TLS_DIRECTORY", "certificate_problem", "ensure_authority", "ensure_key", "read_authority", "sign"]
