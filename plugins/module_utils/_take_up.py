# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a running PostgreSQL use a new certificate and new authorities. A reload is enough, and ends no session."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import struct
import time
from contextlib import closing

from . import _pem
from ._config import TLS_DIRECTORY, NodeConfig
from ._errors import BackupHaError, UnreachableError
from ._postgres import connect_local, one, postmaster_pid

LIMIT_S = 15.0
# What a client of PostgreSQL says before it begins TLS.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_WAITS, _OURS, _OTHER = "waits", "ours", "other"
_STATE = f"""
SELECT CASE WHEN pg_conf_load_time() < to_timestamp(%s) THEN '{_WAITS}'
            WHEN current_setting('ssl_cert_file') = %s THEN '{_OURS}' ELSE '{_OTHER}' END"""


def take_up(config: NodeConfig, limit: float = LIMIT_S) -> bool:
    """Reload, and wait until the server shows the new certificate. False when it does not run: it will at its start."""
    pid, certificates = postmaster_pid(config.postgresql), _pem.read_all(TLS_DIRECTORY / "node.crt")
    if pid is None or not certificates:
        return False
    began, deadline = time.time(), time.monotonic() + limit
    os.kill(pid, signal.SIGHUP)
    own = _pem.identity(certificates[0])
    while True:
        state = _reloaded(config, began)
        if state == _OTHER:
            return False  # it becomes a node's with this assembly's next steps
        if state == _OURS and presented(config.address, config.postgresql.port) == own:
            return True
        if time.monotonic() > deadline:
            raise BackupHaError(
                f"PostgreSQL on {config.node} did not take up its new certificate within {limit:.0f} s; its log says"
                " why. It serves on with the one before."
            )
        time.sleep(0.05)


def _reloaded(config: NodeConfig, since: float) -> str:
    """Whether it has read its configuration since then, and uses this certificate. One that lets no session in yet
    can't be asked."""
    try:
        with closing(connect_local(config.postgresql)) as connection:
            return str(one(connection, _STATE, since, str(TLS_DIRECTORY / "node.crt")))
    except UnreachableError:
        return _OURS


def presented(address: str, port: int, timeout: float = 2.0) -> str:
    """The identity of the certificate that a server shows; empty when it shows none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((address, port), timeout) as plain:
            plain.sendall(_SSL_REQUEST)
            if plain.recv(1) != b"S":
                return ""
            with context.wrap_socket(plain) as session:
                found = session.getpeercert(binary_form=True)
    except OSError:
        return ""
    return _pem.identity(ssl.DER_cert_to_PEM_cert(found)) if found else ""
