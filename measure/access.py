"""What the measuring clients need on the servers: a role, a database with two tables, and to be let in."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from measure.link import QUICK, connect
from measure.servers import Servers

ROLE = "duet_writer"
DATABASE = "duet_measure"
# samenet: whoever shares a network with the server, and that is the lab.
HBA_LINE = f"hostssl {DATABASE} {ROLE} samenet scram-sha-256"

_ADMIT = """
hba=$(runuser -u postgres -- psql -XqAt -p "$1" -c 'SHOW hba_file')
grep -qxF "$2" "$hba" || echo "$2" >> "$hba"
runuser -u postgres -- psql -XqAt -p "$1" -c 'SELECT pg_reload_conf()' > /dev/null
"""
_ROLE = """
SELECT format('CREATE ROLE %I LOGIN', '{role}')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec
ALTER ROLE {role} PASSWORD '{password}';
SELECT format('CREATE DATABASE %I OWNER %I', '{database}', '{role}')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec
"""
_TABLES = f"""
SET client_min_messages = warning;
SET ROLE {ROLE};
CREATE TABLE IF NOT EXISTS duet_written (run text, number bigint, PRIMARY KEY (run, number));
CREATE TABLE IF NOT EXISTS duet_probe (node text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
"""


@dataclass(frozen=True)
class Access:
    """How to connect as the measuring role."""

    password: str
    port: int = 5432

    def conninfo(self, address: str) -> str:
        """Make libpq's connection string for a server at an address."""
        # Certificates are the scenarios' business: the clients here ask for TLS as cheaply as a client may.
        return (
            f"hostaddr={address} port={self.port} user={ROLE} dbname={DATABASE} password={self.password}"
            " sslmode=require gssencmode=disable application_name=duet_measure"
        )


def admit(servers: Servers, address: str, port: int = 5432) -> None:
    """Let the role in over the network, on one node; done already, it changes nothing."""
    servers.run(address, ["sh", "-euc", _ADMIT, "admit", str(port), HBA_LINE])


def create(servers: Servers, address: str, port: int = 5432) -> Access:
    """Make role, database and tables on a primary, as far as they are missing; the password is a new one."""
    access = Access(secrets.token_urlsafe(18), port)
    roles = _ROLE.format(role=ROLE, database=DATABASE, password=access.password)
    servers.sql(address, roles, port=port)
    servers.sql(address, _TABLES, DATABASE, port)
    return access


def written(access: Access, address: str, run: str) -> list[int]:
    """Numbers of a run that the primary at an address has. ValueError if that server is no primary."""
    link = connect(access.conninfo(address), QUICK, 10)
    try:
        if link.ask(b"SELECT pg_is_in_recovery()", [], 10) != [["f"]]:
            raise ValueError(f"{address} is not the primary, so its rows prove nothing")
        rows = link.ask(b"SELECT number FROM duet_written WHERE run = $1", [run.encode()], 60)
        return [int(number) for (number,) in rows]
    finally:
        link.close()
