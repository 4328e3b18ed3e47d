# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a key to a certificate that both nodes accept, with the real openssl."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _authority, _pem
from ansible_collections.duet.backup_ha.plugins.module_utils import _certificates as tls
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError

WANTED = tls.subject_names(["node1.lab.test", "backup.lab.test"], ["127.0.0.1", "2001:db8::10"])


@pytest.fixture(scope="module")
def owners() -> Iterator[list[tuple[str, int, int]]]:
    """Who was given files; only root may really do it, and PostgreSQL's user is not everywhere."""
    given: list[tuple[str, int, int]] = []
    nobody = pwd.getpwnam("nobody")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(os, "chown", lambda path, user, group: given.append((Path(path).name, user, group)))
        monkeypatch.setattr(pwd, "getpwnam", lambda _name: nobody)
        yield given


@dataclass
class Signed:
    """A cluster's authority in a directory of its own, and one node's signed certificate."""

    ca: Path
    node: Path


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, owners: list[tuple[str, int, int]]) -> Iterator[Signed]:
    directory = tmp_path_factory.mktemp("tls")
    ca, node = directory / "ca", directory / "node"
    assert owners is not None
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(_authority, "CA_DIRECTORY", ca)
        made = _authority.make("duet")
        tls.ensure_key(node / "node.key")
        (node / "node.crt").write_text(sign(made, node), encoding="ascii")
        (node / "ca.crt").write_text(made.pem, encoding="ascii")
        yield Signed(ca, node)


def sign(authority: _authority.Authority, node: Path) -> str:
    return _authority.sign(authority, tls.signing_request(node / "node.key"), WANTED)


@pytest.fixture
def own(signed: Signed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The authority's directory, as a copy that a test may spoil."""
    ca = Path(shutil.copytree(signed.ca, tmp_path / "ca"))
    monkeypatch.setattr(_authority, "CA_DIRECTORY", ca)
    return ca


@pytest.fixture
def node(signed: Signed, tmp_path: Path) -> Path:
    """A node's directory that a test may spoil."""
    return Path(shutil.copytree(signed.node, tmp_path / "node"))


def openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout


def test_a_signed_certificate_has_no_problem(node: Path) -> None:
    assert tls.certificate_problem(node, WANTED) is None


def test_a_certificate_serves_both_directions_and_signs_nothing(node: Path) -> None:
    text = openssl("x509", "-in", str(node / "node.crt"), "-noout", "-text")
    for words in (
        "Subject: CN = backup_ha",
        "Issuer: CN = backup-ha duet",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "CA:FALSE",
        "DNS:node1.lab.test, DNS:backup.lab.test, IP Address:127.0.0.1",
    ):
        assert words in text


def test_it_is_good_for_ten_years(node: Path) -> None:
    year = 365 * 24 * 3600
    for name in ("node.crt", "ca.crt"):
        assert "will not expire" in openssl("x509", "-in", str(node / name), "-noout", "-checkend", str(9 * year))


@pytest.mark.parametrize("name", ["node.crt", "ca.crt", "node.key"])
def test_what_is_missing_is_a_problem(node: Path, name: str) -> None:
    (node / name).unlink()
    assert tls.certificate_problem(node, WANTED) == "it has none"


def test_another_authority_is_a_problem(node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_authority, "CA_DIRECTORY", tmp_path / "other")
    (node / "ca.crt").write_text(_authority.make("duet").pem, encoding="ascii")
    assert tls.certificate_problem(node, WANTED) == "the cluster's authority did not sign it"


def test_another_key_is_a_problem(node: Path) -> None:
    (node / "node.key").unlink()
    tls.ensure_key(node / "node.key")
    assert tls.certificate_problem(node, WANTED) == "it belongs to another key"


@pytest.mark.parametrize(
    "names",
    [
        "DNS:node1.lab.test",
        f"{WANTED},DNS:more.lab.test",
        WANTED.replace("127.0.0.1", "198.18.0.99"),
        WANTED.replace("backup.", "other."),
    ],
)
def test_other_names_are_a_problem(node: Path, names: str) -> None:
    assert tls.certificate_problem(node, names) == "its names differ"


def test_the_order_of_the_names_does_not_matter(node: Path) -> None:
    assert tls.certificate_problem(node, ",".join(reversed(WANTED.split(",")))) is None


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(("days", "problem"), [(89, "it expires soon"), (91, None)])
def test_it_is_renewed_ninety_days_before_its_end(
    node: Path, monkeypatch: pytest.MonkeyPatch, days: int, problem: str | None
) -> None:
    monkeypatch.setattr(_authority, "DAYS", days)
    (node / "node.crt").write_text(sign(_authority.kept()[0], node), encoding="ascii")
    assert tls.certificate_problem(node, WANTED) == problem


@pytest.mark.usefixtures("own")
def test_it_is_not_good_for_longer_than_its_authority(node: Path) -> None:
    short = _authority.make("duet", days=10)
    (signed, *_cross) = _pem.split(sign(short, node))
    assert _pem.describe(signed).until == _pem.describe(short.pem).until
    assert _pem.describe(signed).since < time.time() - 3000, "the other node's clock may be behind"


def test_a_key_is_made_once(signed: Signed) -> None:
    before = (signed.node / "node.key").read_bytes()
    assert tls.ensure_key(signed.node / "node.key") is False
    assert (signed.node / "node.key").read_bytes() == before


def test_an_authority_without_certificate_is_none(own: Path) -> None:
    """Interrupted between the key and the certificate."""
    (own / "ca.crt").unlink()
    assert _authority.kept() == []
    with pytest.raises(BackupHaError, match="does not keep the key of the authority none"):
        _authority.find("none")


def test_nobody_else_reads_the_keys(signed: Signed) -> None:
    modes = {
        str(path): path.stat().st_mode & 0o777 for path in (signed.ca, signed.ca / "ca.key", signed.node / "node.key")
    }
    assert list(modes.values()) == [0o700, 0o600, 0o600]


def test_the_key_belongs_to_postgresql_and_the_authority_to_root(
    owners: list[tuple[str, int, int]], signed: Signed
) -> None:
    assert signed
    user = pwd.getpwnam("postgres")
    assert ("node.key", user.pw_uid, user.pw_gid) in owners
    assert ("ca.key", 0, 0) in owners


def test_a_key_that_others_may_read_is_repaired(node: Path, owners: list[tuple[str, int, int]]) -> None:
    (node / "node.key").chmod(0o640)
    content = (node / "node.key").read_bytes()
    owners.clear()
    assert tls.ensure_key(node / "node.key") is False
    assert (node / "node.key").stat().st_mode & 0o777 == 0o600
    assert [name for name, _user, _group in owners] == ["node.key"]
    assert (node / "node.key").read_bytes() == content


def verifies(root: str, certificate: str, folder: Path) -> bool:
    """As a client does that trusts this one authority, and gets what the server shows."""
    (folder / "root").write_text(root, encoding="ascii")
    (folder / "shown").write_text(certificate, encoding="ascii")
    argv = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", str(folder / "root")]
    argv += ["-untrusted", str(folder / "shown"), str(folder / "shown")]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


@pytest.mark.usefixtures("own")
def test_clients_of_the_old_authority_accept_what_the_new_one_signs(node: Path, tmp_path: Path) -> None:
    old = _authority.kept()[0]
    new = _authority.make("duet")
    certificate = sign(new, node)
    assert len(_pem.split(certificate)) == 2 and len(_pem.split(sign(old, node))) == 1
    assert verifies(old.pem, certificate, tmp_path) and verifies(new.pem, certificate, tmp_path)
    assert not verifies(old.pem, _pem.split(certificate)[0], tmp_path), "the link between them is needed"
    (node / "node.crt").write_text(certificate, encoding="ascii")
    assert tls.issuer_of(node / "node.crt", [old.pem, new.pem]) == new.id
    _authority.forget_but([new.pem])
    assert [authority.id for authority in _authority.kept()] == [new.id]
    assert len(_pem.split(sign(new, node))) == 2, "also a certificate that is signed later"


def test_an_authority_reaches_the_other_node_and_nobody_else(
    node: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own
    _authority.make("duet")
    authority = max(_authority.kept(), key=lambda one: len(one.cross.name))
    sealed = _authority.seal(authority, (node / "node.crt").read_text(encoding="ascii"))
    secret = authority.key.read_text(encoding="ascii")
    assert not any(line in str(sealed) for line in secret.splitlines()[1:-1])
    there = tmp_path / "there"
    monkeypatch.setattr(_authority, "CA_DIRECTORY", there)
    (tmp_path / "other.key").write_text(_authority.new_key(), encoding="ascii")
    with pytest.raises(BackupHaError):
        _authority.keep(sealed, tmp_path / "other.key")
    assert _authority.kept() == []
    _authority.keep(sealed, node / "node.key")
    (copy,) = _authority.kept()
    assert (copy.id, copy.key.read_text(encoding="ascii")) == (authority.id, secret)
    assert copy.key.stat().st_mode & 0o777 == 0o600 and there.stat().st_mode & 0o777 == 0o700


def test_a_copy_with_another_key_is_not_kept(
    node: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own
    authority = _authority.kept()[0]
    sealed = _authority.seal(authority, (node / "node.crt").read_text(encoding="ascii"))
    wrong = {**sealed, "certificate": _authority.make("duet").pem}
    monkeypatch.setattr(_authority, "CA_DIRECTORY", tmp_path / "there")
    with pytest.raises(BackupHaError, match="has another key than its certificate"):
        _authority.keep(wrong, node / "node.key")
    assert _authority.kept() == []


def serve_once(listener: socket.socket, context: ssl.SSLContext, seen: list[object]) -> None:
    with listener, context.wrap_socket(listener.accept()[0], server_side=True) as session:
        seen.append(session.getpeercert())
        session.send(b"welcome")


def test_two_nodes_accept_each_other(signed: Signed) -> None:
    """A real handshake with verification both ways and of the address, as libpq's verify-full does it."""
    seen: list[object] = []
    contexts = [ssl.create_default_context(purpose) for purpose in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH)]
    for context in contexts:
        context.load_verify_locations(signed.node / "ca.crt")
        context.load_cert_chain(signed.node / "node.crt", signed.node / "node.key")
        context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    server = threading.Thread(target=serve_once, args=(listener, contexts[0], seen), daemon=True)
    server.start()
    with (
        socket.create_connection(listener.getsockname(), timeout=5) as plain,
        contexts[1].wrap_socket(plain, server_hostname="127.0.0.1") as session,
    ):
        assert session.recv(7) == b"welcome"
    server.join(5)
    assert "backup_ha" in str(seen)
