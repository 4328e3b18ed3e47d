# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's own certificate authorities: made, kept on both nodes, and what they sign. All by the openssl command.

There is one, and a second one while it is replaced. Each is a key and a certificate of the same name in one directory
that only root reads. Its key travels to the other node only in a form that this other node's key alone can open.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import _pem
from ._errors import BackupHaError
from ._system import remove_durably, run, write_durably

CA_DIRECTORY = Path("/etc/backup-ha/ca")
DAYS = 3650
# Clocks differ, and what was signed on one node is used on the other one within the second.
BACKDATED_S = 3600
_CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
_NODE = (
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName={names}\n"
)
_CROSS = _CA + "authorityKeyIdentifier=keyid\n"
_CONFIG = """
[ca]
default_ca = here
[here]
database = {scratch}/index
new_certs_dir = {scratch}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = named
[named]
commonName = supplied
serialNumber = optional
"""


@dataclass(frozen=True)
class Authority:
    """A certificate authority whose key this node keeps."""

    key: Path
    certificate: Path

    @property
    def cross(self) -> Path:
        """Its certificate as the authority before it has signed it, for clients that know only that one."""
        return self.certificate.with_suffix(".cross")

    @property
    def pem(self) -> str:
        return _pem.read_all(self.certificate)[0]

    @property
    def id(self) -> str:
        return _pem.identity(self.pem)


def kept() -> list[Authority]:
    """Those that are whole: of an interruption a key may be left over."""
    found = (Authority(path.with_suffix(".key"), path) for path in sorted(CA_DIRECTORY.glob("*.crt")))
    return [authority for authority in found if authority.key.exists() and _pem.read_all(authority.certificate)]


def find(identity: str) -> Authority:
    for authority in kept():
        if authority.id == identity:
            return authority
    raise BackupHaError(f"This node does not keep the key of the authority {identity}.")


def new_key() -> str:
    return run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])


def make(cluster: str, days: int | None = None) -> Authority:
    """A new authority, cross-signed by the newest one that is here."""
    before = max(kept(), key=lambda authority: _pem.describe(authority.pem).since, default=None)
    authority = _files("ca" if before is None else f"ca-{os.urandom(4).hex()}")
    _write_secret(authority.key, new_key())
    # Each has a name of its own: by its name OpenSSL looks for who signed a certificate.
    subject = f"/CN=backup-ha {cluster}/serialNumber={os.urandom(8).hex()}"
    request = run(["openssl", "req", "-new", "-key", str(authority.key), "-subj", subject])
    until = time.time() + (DAYS if days is None else days) * 86400
    certificate = _issue(request, authority.key, None, _CA, until)
    if before:
        most = min(until, _pem.describe(before.pem).until)
        write_durably(authority.cross, _issue(request, before.key, before.certificate, _CROSS, most))
    write_durably(authority.certificate, certificate)  # last: it makes the authority whole
    return authority


def _files(name: str) -> Authority:
    return Authority(CA_DIRECTORY / f"{name}.key", CA_DIRECTORY / f"{name}.crt")


def _write_secret(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    write_durably(path, content, mode=0o600)
    os.chown(path, 0, 0)


def sign(authority: Authority, request: str, names: str) -> str:
    """A node's certificate and, after it, what leads to the authority before; ``names`` as subject_names() gives them.

    It is good for as long as the authority, at most.
    """
    until = min(time.time() + DAYS * 86400, _pem.describe(authority.pem).until)
    certificate = _issue(request, authority.key, authority.certificate, _NODE.format(names=names), until)
    return certificate + "".join(_pem.read_all(authority.cross))


def _issue(request: str, key: Path, issuer: Path | None, extensions: str, until: float) -> str:
    """Sign a request; without an issuer by its own key."""
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: Path(scratch, name) for name in ("request", "extensions", "config", "index")}
        files["request"].write_text(request, encoding="ascii")
        files["extensions"].write_text(extensions, encoding="ascii")
        files["config"].write_text(_CONFIG.format(scratch=scratch), encoding="ascii")
        files["index"].touch()
        argv = ["openssl", "ca", "-batch", "-notext", "-config", str(files["config"])]
        argv += ["-in", str(files["request"]), "-extfile", str(files["extensions"]), "-keyfile", str(key)]
        argv += ["-cert", str(issuer)] if issuer else ["-selfsign"]
        dates = ["-startdate", _asn1(time.time() - BACKDATED_S), "-enddate", _asn1(until)]
        return _pem.split(run([*argv, *dates]))[0]


def _asn1(at: float) -> str:
    """A time as openssl's command wants it.

    >>> _asn1(2110777200.0)
    '20361120070000Z'
    """
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(at))


def seal(authority: Authority, certificate: str) -> dict[str, str]:
    """The authority for the other node: its key in a form that only the key of this certificate opens."""
    with tempfile.TemporaryDirectory() as scratch:
        recipient = Path(scratch, "recipient")
        recipient.write_text(_pem.split(certificate)[0], encoding="ascii")
        argv = ["openssl", "cms", "-encrypt", "-aes-256-cbc", "-outform", "PEM", "-in", str(authority.key)]
        sealed = run([*argv, str(recipient)])
    cross = "".join(_pem.read_all(authority.cross))
    return {"certificate": authority.pem, "cross": cross, "sealed_key": sealed}


def keep(sealed: dict[str, str], node_key: Path) -> None:
    """Keep a copy of the other node's authority."""
    with tempfile.TemporaryDirectory() as scratch:
        message = Path(scratch, "sealed")
        message.write_text(sealed["sealed_key"], encoding="ascii")
        key = run(["openssl", "cms", "-decrypt", "-inform", "PEM", "-in", str(message), "-inkey", str(node_key)])
    taken = {path.stem for path in CA_DIRECTORY.glob("*")}
    identity = _pem.identity(sealed["certificate"])
    authority = _files("ca" if "ca" not in taken else f"ca-{identity[:8]}")
    _write_secret(authority.key, key)
    if sealed["cross"]:
        write_durably(authority.cross, sealed["cross"])
    if run(["openssl", "pkey", "-in", str(authority.key), "-pubout"]) != public_key_of(sealed["certificate"]):
        remove_durably(authority.key)
        raise BackupHaError(f"The copy of the authority {identity} has another key than its certificate.")
    write_durably(authority.certificate, sealed["certificate"])


def public_key_of(certificate: str) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "certificate")
        path.write_text(certificate, encoding="ascii")
        return run(["openssl", "x509", "-in", str(path), "-noout", "-pubkey"])


def forget_but(trusted: list[str]) -> None:
    """Remove the keys of authorities that are not among these certificates."""
    identities = {_pem.identity(pem) for pem in trusted}
    for authority in kept():
        if authority.id not in identities:
            for path in (authority.key, authority.cross, authority.certificate):
                remove_durably(path)


__all__ = ["CA_DIRECTORY", "Authority", "find", "forget_but", "keep", "kept", "make", "seal", "sign"]
