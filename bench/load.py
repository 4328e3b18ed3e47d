"""A 1 GB database and pgbench on it, from a third machine through the endpoint."""

from __future__ import annotations

import time

from measure.access import DATABASE, ROLE, Access
from measure.servers import ServerError, Servers

SCALE = 70  # about 1 GB
RATE = 200  # transactions per second
UNIT = "duet-bench-load"
PGBENCH = "/usr/lib/postgresql/15/bin/pgbench"

_FILL = f"PGOPTIONS='-c role={ROLE}' runuser -u postgres -- {PGBENCH} -i -q -I dtGvp -s {SCALE} {DATABASE}"
# pgbench is in the server's package; told so first, that makes no server.
_INSTALL = f"""
test -x {PGBENCH} && exit
mkdir -p /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/none.conf
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql-15
"""
# pgbench ends with its connections, and a client that is at work comes back.
_LOOP = f"while :; do {PGBENCH} -n -R {RATE} -c 4 -T 3600 {DATABASE}; sleep 0.05; done"


def fill(servers: Servers, address: str) -> None:
    """Make the 1 GB database on a primary."""
    servers.run(address, ["sh", "-euc", _FILL], timeout=600)


def install(servers: Servers) -> None:
    """Put pgbench on the repository host."""
    servers.run(servers.repository, ["sh", "-euc", _INSTALL], timeout=300)


def start(servers: Servers, access: Access) -> None:
    """Begin to load the cluster through its endpoint; `rate` tells whether that works."""
    settings = {
        "PGHOST": servers.endpoint,
        "PGUSER": ROLE,
        "PGPASSWORD": access.password,
        "PGSSLMODE": "require",
        "PGGSSENCMODE": "disable",
    }
    environment = [f"--setenv={key}={value}" for key, value in settings.items()]
    # Where systemd is not told that a unit's last process has gone, as in some containers, it waits this long.
    patience = "--property=TimeoutStopSec=1"
    command = ["systemd-run", "--quiet", f"--unit={UNIT}", patience, *environment, "sh", "-c", _LOOP]
    servers.run(servers.repository, command)


def stop(servers: Servers) -> None:
    servers.run(servers.repository, ["sh", "-c", f"systemctl stop {UNIT} 2> /dev/null || true"])


def rate(servers: Servers, address: str, seconds: float = 2.0) -> float:
    """Transactions a second that pgbench commits on a primary."""
    query = "SELECT count(*) FROM pgbench_history;"
    began = time.monotonic()
    before = int(servers.sql(address, query, DATABASE))
    time.sleep(seconds)
    after = int(servers.sql(address, query, DATABASE))
    return (after - before) / (time.monotonic() - began)


def wait_for(servers: Servers, address: str, timeout: float = 30.0) -> float:
    """Wait until the load is on; return its rate. ServerError if it never comes."""
    deadline = time.monotonic() + timeout
    while (found := rate(servers, address)) < 0.9 * RATE:
        if time.monotonic() > deadline:
            raise ServerError(f"pgbench reaches {found:.0f} transactions/s on {address}, {RATE} are needed")
    return found
