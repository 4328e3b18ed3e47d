# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a key to a certificate that both nodes accept, with the real openssl."""

from __future__ import annotations

import grp
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _certificates as tls

OTHER_GROUP = "nogroup"
WANTED = tls.subject_names(["node1.lab.test", "backup.lab.test"], ["127.0.0.1", "2001:db8::10"])


@pytest.fixture(scope="module")
def owners() -> Iterator[list[tuple[str, int, int]]]:
    """Who was given files; only root may really do it."""
    given: list[tuple[str, int, int]] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(os, "chown", lambda path, user, group: given.append((Path(path).name, user, group)))
        yield given


@dataclass
class Authority:
    """A cluster's authority in a directory of its own, and one node's signed certificate."""

    ca: Path
    node: Path


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, owners: list[tuple[str, int, int]]) -> Iterator[Authority]:
    directory = tmp_path_factory.mktemp("tls")
    ca, node = directory / "ca", directory / "node"
    assert owners is not None
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(tls, "CA_DIRECTORY", ca)
        assert tls.ensure_authority("duet") is True
        tls.ensure_key(node / "node.key", OTHER_GROUP)
        (node / "node.crt").write_text(tls.sign(tls.signing_request(node / "node.key"), WANTED), encoding="ascii")
        (node / "ca.crt").write_text(tls.read_authority(), encoding="ascii")
        yield Authority(ca, node)


@pytest.fixture
def node(signed: Authority, tmp_path: Path) -> Path:
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
    monkeypatch.setattr(tls, "CA_DIRECTORY", tmp_path / "other")
    tls.ensure_authority("duet")
    (node / "ca.crt").write_text(tls.read_authority(), encoding="ascii")
    assert tls.certificate_problem(node, WANTED) == "the cluster's authority did not sign it"


def test_another_key_is_a_problem(node: Path) -> None:
    (node / "node.key").unlink()
    tls.ensure_key(node / "node.key", OTHER_GROUP)
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


@pytest.mark.parametrize(("days", "problem"), [(89, "it expires soon"), (91, None)])
def test_it_is_renewed_ninety_days_before_its_end(
    node: Path, monkeypatch: pytest.MonkeyPatch, days: int, problem: str | None
) -> None:
    monkeypatch.setattr(tls, "DAYS", days)
    (node / "node.crt").write_text(tls.sign(tls.signing_request(node / "node.key"), WANTED), encoding="ascii")
    assert tls.certificate_problem(node, WANTED) == problem


def test_keys_and_authority_are_made_once(signed: Authority) -> None:
    before = {path.name: path.read_bytes() for path in signed.ca.iterdir()}
    assert tls.ensure_key(signed.node / "node.key", OTHER_GROUP) is False
    assert tls.ensure_authority("duet") is False
    assert {path.name: path.read_bytes() for path in signed.ca.iterdir()} == before


def test_an_authority_without_certificate_is_completed(
    tmp_path: Path, signed: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted between the key and the certificate."""
    ca = Path(shutil.copytree(signed.ca, tmp_path / "ca"))
    (ca / "ca.crt").unlink()
    monkeypatch.setattr(tls, "CA_DIRECTORY", ca)
    assert tls.ensure_authority("duet") is True
    assert (ca / "ca.key").read_bytes() == (signed.ca / "ca.key").read_bytes()


def test_nobody_else_reads_the_keys(signed: Authority) -> None:
    modes = {
        str(path): path.stat().st_mode & 0o777 for path in (signed.ca, signed.ca / "ca.key", signed.node / "node.key")
    }
    assert list(modes.values()) == [0o700, 0o600, 0o640]


def test_keys_belong_to_root_and_the_group(owners: list[tuple[str, int, int]], signed: Authority) -> None:
    assert signed
    assert ("node.key", 0, grp.getgrnam(OTHER_GROUP).gr_gid) in owners
    assert ("ca.key", 0, 0) in owners


def test_a_key_that_was_interrupted_before_it_got_its_group_is_repaired(
    node: Path, owners: list[tuple[str, int, int]]
) -> None:
    """Else PostgreSQL could never read it, and nothing would say why."""
    (node / "node.key").chmod(0o600)
    content = (node / "node.key").read_bytes()
    owners.clear()
    assert tls.ensure_key(node / "node.key", OTHER_GROUP) is False
    assert (node / "node.key").stat().st_mode & 0o777 == 0o640
    assert ("node.key", 0, grp.getgrnam(OTHER_GROUP).gr_gid) in owners
    assert (node / "node.key").read_bytes() == content


def serve_once(listener: socket.socket, context: ssl.SSLContext, seen: list[object]) -> None:
    with listener, context.wrap_socket(listener.accept()[0], server_side=True) as session:
        seen.append(session.getpeercert())
        session.send(b"welcome")


def test_two_nodes_accept_each_other(signed: Authority) -> None:
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
