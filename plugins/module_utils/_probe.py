# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof from outside: a row written through the endpoint, on the timeline that the primary claims."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from ._database import PROBE_ROLE, TICKET_LIFETIME
from ._errors import BackupHaError, first_line
from ._postgres import require_driver

try:
    import psycopg
except ImportError:  # require_driver() says so
    psycopg = None  # type: ignore[assignment]

_WRITE = """
INSERT INTO backup_ha.probe (asked_by) VALUES (%s) ON CONFLICT (asked_by) DO UPDATE SET asked = clock_timestamp()
RETURNING substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"""


def probe_endpoint(
    address: str, port: int, timeout: float, password: str, timeline: int, ca_certificate: str
) -> dict[str, Any]:
    """Write through the endpoint until it succeeds on the expected timeline.

    Returns timeline and attempts. Raises BackupHaError with the last thing that was found.
    """
    require_driver()
    deadline = time.monotonic() + timeout
    attempts = 0
    with tempfile.NamedTemporaryFile("w", suffix=".crt") as ca:
        ca.write(ca_certificate)
        ca.flush()
        while True:
            attempts += 1
            try:
                found = _write_once(address, port, password, ca.name)
                if found == timeline:
                    return {"timeline": found, "attempts": attempts}
                problem = f"it leads to a writer on timeline {found}, expected was {timeline}"
            except psycopg.Error as error:
                problem = first_line(error)
            if time.monotonic() > deadline:
                raise BackupHaError(
                    f"The endpoint {address} does not lead to the primary: {problem} (after {attempts} attempts; the "
                    f"password is good for {TICKET_LIFETIME})."
                )
            time.sleep(0.2)


def _write_once(address: str, port: int, password: str, ca: str) -> int:
    with psycopg.connect(
        host=address,
        port=port,
        user=PROBE_ROLE,
        password=password,
        dbname="backup_ha",
        sslmode="verify-full",
        sslrootcert=ca,
        connect_timeout=2,
        options="-c synchronous_commit=local",  # whether commits wait for the secondary is not what is asked here
        application_name="backup-ha probe",
    ) as connection:
        row = connection.execute(_WRITE, (f"{os.uname().nodename}",)).fetchone()
    return int(row[0], 16) if row else 0
