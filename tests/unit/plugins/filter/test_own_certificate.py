# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of certificates that the user gives; keys and signatures are real."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.filter.own_certificate import FilterModule, own_certificate

NAMES, ADDRESSES = ["node1", "backup.example.org"], ["192.0.2.11", "2001:db8::10"]
SUBJECT = "DNS:node1,DNS:*.example.org,IP:192.0.2.11,IP:2001:DB8:0:0:0:0:0:10"


@dataclass
class Maker:
    """The user's own authority, by the openssl command."""

    folder: Path

    def openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.folder)

    def authority(self, name: str, *by: str) -> str:
        words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "9"]
        words += ["-addext", "basicConstraints=critical,CA:TRUE", "-keyout", f"{name}.key", "-out", f"{name}.crt"]
        self.openssl(*words, *(("-CA", f"{by[0]}.crt", "-CAkey", f"{by[0]}.key") if by else ()))
        return (self.folder / f"{name}.crt").read_text(encoding="ascii")

    def node(self, by: str, *extensions: str, subject: str = SUBJECT) -> dict[str, str]:
        words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=backup_ha", "-days", "9"]
        words += ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "node.key", "-out", "node.crt"]
        for extension in (f"subjectAltName={subject}", *extensions):
            words += ["-addext", extension]
        self.openssl(*words, "-CA", f"{by}.crt", "-CAkey", f"{by}.key")
        read = {name: (self.folder / f"node.{name}").read_text(encoding="ascii") for name in ("crt", "key")}
        authority = (self.folder / f"{by}.crt").read_text(encoding="ascii")
        return {"certificate": read["crt"], "key": read["key"], "authority": authority}


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    made = Maker(tmp_path_factory.mktemp("own"))
    made.authority("root")
    return made


@pytest.fixture(scope="module")
def good(maker: Maker) -> dict[str, str]:
    return maker.node("root")


def refused(given: dict[str, str]) -> list[str]:
    found = own_certificate(given, "node1", NAMES, ADDRESSES)
    assert "PRIVATE KEY" not in str(found)
    return list(found["refusals"])


def test_a_good_one(good: dict[str, str]) -> None:
    assert FilterModule().filters() == {"own_certificate": own_certificate}
    found = own_certificate(good, "node1", NAMES, ADDRESSES)
    assert found["refusals"] == [] and found["certificate"] == good["certificate"]
    assert len(found["authorities"]) == 1


def test_none_is_given() -> None:
    nothing = {"certificate": "", "authority": "", "refusals": [], "authorities": []}
    assert own_certificate({"certificate": "", "key": "", "authority": ""}, "node1") == nothing


def test_one_in_between(maker: Maker) -> None:
    between = maker.authority("between", "root")
    given = maker.node("between")
    root = (maker.folder / "root.crt").read_text(encoding="ascii")
    assert refused({**given, "certificate": given["certificate"] + between, "authority": root}) == []
    (said,) = refused({**given, "authority": root})
    assert "it was signed by CN=between, which is not there" in said


def test_another_authority_and_another_key(maker: Maker, good: dict[str, str]) -> None:
    (said,) = refused({**good, "authority": maker.authority("root2")})
    assert "does not verify" in said
    other = (maker.folder / "root.key").read_text(encoding="ascii")
    (said,) = refused({**good, "key": other})
    assert "is not the one of its certificate" in said


def test_one_for_servers_only(maker: Maker) -> None:
    (said,) = refused(maker.node("root", "extendedKeyUsage=serverAuth"))
    assert "not meant for clients" in said
    assert refused(maker.node("root", "extendedKeyUsage=serverAuth,clientAuth")) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"key": ""}, "node1: backup_ha_certificate_key is empty; backup_ha_certificate, backup_ha_certificate_key, "),
        ({"certificate": "/none"}, "node1: backup_ha_certificate holds no certificate; it needs PEM text"),
        ({"key": "-----BEGIN nonsense"}, "node1: backup_ha_certificate_key can't be read; it needs PEM text"),
        ({"authority": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}, "can't be read"),
    ],
)
def test_what_is_none(good: dict[str, str], change: dict[str, str], sentence: str) -> None:
    (said,) = refused({**good, **change})
    assert sentence in said


def test_a_key_with_a_password(maker: Maker, good: dict[str, str]) -> None:
    maker.openssl("pkey", "-in", "node.key", "-aes256", "-passout", "pass:x", "-out", "locked.key")
    (said,) = refused({**good, "key": (maker.folder / "locked.key").read_text(encoding="ascii")})
    assert "is protected by a password" in said
