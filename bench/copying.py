"""The product's copy of the primary's data against PostgreSQL's own tool, on the secondary while its server is down."""

from __future__ import annotations

from measure.servers import Servers

# Both as the product's own user and connection; the one that comes first has no advantage: the primary has just been
# read, and each run begins with the other one.
_COPY = """
import os, shutil, subprocess, sys, time
from dataclasses import replace
sys.path.insert(0, "/usr/lib/backup-ha")
from pathlib import Path
from backup_ha import _clone
from backup_ha._config import load_config
from backup_ha._postgres import connect_peer, drop_slot, ensure_slot, peer_parameters

# A slot of its own: the node's keeps the WAL that its server, which is down now, goes on from.
config = replace(load_config(), node="bench")
target = Path(config.postgresql.data_directory).with_name("bench")


def bare():
    conninfo = " ".join(f"{key}={value}" for key, value in peer_parameters(config).items())
    argv = ["runuser", "-u", "postgres", "--", f"{config.postgresql.bin_directory}/pg_basebackup", "--no-password"]
    argv += ["--dbname", conninfo, "--pgdata", str(target), "--wal-method=stream", "--checkpoint=fast"]
    subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)


def ours():
    with connect_peer(config) as peer:
        ensure_slot(peer, config.slot)
    _clone._copy(config, target)
    with connect_peer(config) as peer:
        drop_slot(peer, config.slot)


seconds = {}
for copy in (bare, ours) if sys.argv[1] == "0" else (ours, bare):
    os.sync()
    began = time.monotonic()
    copy()
    seconds[copy.__name__] = time.monotonic() - began
    shutil.rmtree(target)
print(seconds["bare"] / seconds["ours"])
"""
_STOP_AND_START = 'systemctl stop "$1"; python3 -c "$2" "$3"; systemctl start "$1"'


def ratio(servers: Servers, secondary: str, number: int) -> float:
    """The bare copy's seconds divided by ours: 1 when ours is as fast."""
    script = ["sh", "-euc", _STOP_AND_START, "copy", "postgresql@15-main.service", _COPY, str(number % 2)]
    return float(servers.run(secondary, script, timeout=300))
