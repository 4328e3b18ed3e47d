"""TLS between nodes and to the endpoint, seen from outside: certificates, sessions, and a client that writes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import yaml

from measure.access import DATABASE, ROLE, Access
from tests.scenarios.cluster import Cluster
from tests.scenarios.support import NODES, UNIT, Lab, run

TLS = "/etc/backup-ha/tls"
CA = "/etc/backup-ha/ca"
SERVES = (
    "openssl s_client -starttls postgres -connect {address}:5432 < /dev/null 2>/dev/null | openssl x509 -noout -serial"
)


def serial(lab: Lab, node: str) -> str:
    return lab.sh(node, f"openssl x509 -noout -serial -in {TLS}/node.crt")


def served(lab: Lab, node: str) -> str:
    """The serial number of the certificate that a node's PostgreSQL shows now."""
    return lab.sh(node, SERVES.format(address=lab.address(node)))


def authorities(lab: Lab, node: str) -> list[str]:
    """The fingerprints of those that a node trusts."""
    script = f"openssl crl2pkcs7 -nocrl -certfile {TLS}/ca.crt | openssl pkcs7 -print_certs | grep ^subject"
    return lab.sh(node, script).splitlines()


def sessions(cluster: Cluster) -> dict[str, str]:
    """What a restart, a broken stream or a new session would change."""
    lab, primary, secondary = cluster.lab, cluster.primary, cluster.secondary
    started = "SELECT pg_postmaster_start_time()"
    return {
        "primary": lab.sql(primary, started),
        "secondary": lab.sql(secondary, started),
        "unit": lab.sh(secondary, f"systemctl show --property MainPID,ActiveEnterTimestamp {UNIT}"),
        "receiver": lab.sql(secondary, "SELECT pid, status FROM pg_stat_wal_receiver"),
        "sender": lab.sql(primary, "SELECT pid, backend_start, state FROM pg_stat_replication"),
    }


def endpoint_name(lab: Lab) -> str:
    document = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))
    (cluster,) = document["backup_ha"]["children"].values()
    return str(cluster["vars"]["backup_ha_endpoint_name"])


def conninfo(lab: Lab, access: Access, root: Path, host: str) -> str:
    """A client that verifies the endpoint by this name or address."""
    return (
        f"host={host} hostaddr={lab.endpoint} port={access.port} user={ROLE} dbname={DATABASE} "
        f"password={access.password} sslmode=verify-full sslrootcert={root} gssencmode=disable connect_timeout=5"
    )


def connects(lab: Lab, access: Access, root: Path, host: str) -> str:
    """Empty when a client gets in, else why not."""
    try:
        psycopg.connect(conninfo(lab, access, root, host)).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


@dataclass
class Writer:
    """One session through the endpoint that writes all the while."""

    where: str
    gaps: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __enter__(self) -> Writer:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _write(self) -> None:
        try:
            with psycopg.connect(self.where, autocommit=True) as connection:
                last = time.monotonic()
                while not self._over.is_set():
                    connection.execute("INSERT INTO duet_probe (node) VALUES ('tls')")
                    self.gaps.append(time.monotonic() - last)
                    last = time.monotonic()
                    self._over.wait(0.02)
        except psycopg.Error as error:
            self.problems.append(str(error))


@dataclass
class Mine:
    """An authority of the user's own on the control node, by the openssl command."""

    folder: Path

    def __post_init__(self) -> None:
        self._make("mine", "-subj", "/CN=mine", "-addext", "basicConstraints=critical,CA:TRUE")

    def _make(self, name: str, *words: str) -> None:
        files = ["-keyout", f"{self.folder}/{name}.key", "-out", f"{self.folder}/{name}.crt"]
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "99", *words, *files)

    @property
    def root(self) -> Path:
        return self.folder / "mine.crt"

    def node(self, lab: Lab, node: str, *more: str) -> dict[str, str]:
        """Paths of a certificate and its key, as variables of a host; `more` names besides those of the node."""
        names = ",".join([f"DNS:{node}", f"IP:{lab.address(node)}", *more])
        by = ["-CA", str(self.root), "-CAkey", f"{self.folder}/mine.key", "-addext", f"subjectAltName={names}"]
        self._make(node, "-subj", "/CN=backup_ha", "-addext", "basicConstraints=critical,CA:FALSE", *by)
        return {
            "backup_ha_certificate": f"{self.folder}/{node}.crt",
            "backup_ha_certificate_key": f"{self.folder}/{node}.key",
            "backup_ha_certificate_authority": str(self.root),
        }

    def inventory(self, lab: Lab, name: str, variables: dict[str, dict[str, str]]) -> Path:
        def change(document: dict[str, Any]) -> None:
            (cluster,) = document["backup_ha"]["children"].values()
            for node, wanted in variables.items():
                cluster["hosts"][node].update(wanted)

        return lab.write_inventory(name, change)


# Every argument of every process, many times a second, until the file is gone; a line once.
_SAMPLE = """
import os, time
seen = set()
while os.path.exists("/run/sampled"):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            seen.add(open(f"/proc/{pid}/cmdline", errors="replace").read().replace("\\0", " "))
        except OSError:
            pass
    time.sleep(0.005)
open("/root/sampled", "w").write("\\n".join(sorted(seen)))
"""


@dataclass
class Sampled:
    """The command lines of the nodes meanwhile, and afterwards what was logged."""

    lab: Lab
    text: str = ""

    def __enter__(self) -> Sampled:
        for node in NODES:
            self.lab.sh(node, "rm -f /root/sampled; touch /run/sampled")
            self.lab.spawn(node, f"exec python3 -c '{_SAMPLE}'")
        self._since = self.lab.sh(NODES[0], "date +'%Y-%m-%d %H:%M:%S'")
        return self

    def __exit__(self, *_error: object) -> None:
        for node in NODES:
            script = "rm /run/sampled; until test -s /root/sampled; do sleep 0.1; done; cat /root/sampled; "
            self.text += self.lab.sh(node, script + f"journalctl --no-pager --since '{self._since}'")
            self.text += self.lab.sh(node, "tail -n 200 /var/log/postgresql/*.log")


def secrets(lab: Lab) -> dict[str, str]:
    """A line of each key on the nodes, by where it is."""
    found: dict[str, Any] = {}
    for node in NODES:
        for line in lab.sh(node, f"grep -H -v -e ----- {TLS}/*.key {CA}/*.key").splitlines():
            path, _colon, text = line.partition(":")
            found[f"{node}:{path}:{text[:6]}"] = text
    return found
