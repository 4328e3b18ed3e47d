# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as text: which ones a file holds, which one is which, and what openssl says of one."""

from __future__ import annotations

import hashlib
import re
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ._system import run

_ONE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Described:
    """One certificate; ``since`` and ``until`` in epoch seconds."""

    id: str
    pem: str
    subject: str
    since: float
    until: float


def split(text: str) -> list[str]:
    """Every certificate of a file, in its order; what stands around them is left out.

    >>> len(split("-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----\\n"))
    1
    """
    return [found + "\n" for found in _ONE.findall(text)]


def read_all(path: Path) -> list[str]:
    return split(path.read_text(encoding="utf-8")) if path.exists() else []


def identity(pem: str) -> str:
    """What tells a certificate from every other one: the beginning of its fingerprint."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()[:16]


def describe(pem: str) -> Described:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "certificate")
        path.write_text(pem, encoding="ascii")
        said = run(["openssl", "x509", "-in", str(path), "-noout", "-subject", "-startdate", "-enddate"])
    fields = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    dates = (parse_date(fields["notBefore"]), parse_date(fields["notAfter"]))
    return Described(identity(pem), pem, fields["subject"].strip(), *dates)


def summary(what: str, pem: str) -> str:
    """One line for a person."""
    found = describe(pem)
    until = datetime.fromtimestamp(found.until, UTC).date()
    return f"{what}: {found.subject}, good until {until}, {found.id}"


def parse_date(said: str) -> float:
    """Epoch seconds of openssl's words, whatever the locale.

    >>> parse_date("Nov 20 07:00:00 2036 GMT")
    2110777200.0
    """
    month, day, clock, year, _zone = said.split()
    hour, minute, second = map(int, clock.split(":"))
    return datetime(int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC).timestamp()
