"""What is true on a server, in enough detail to prove that a playbook changed nothing there.

`SCRIPT` runs on the server, with nothing but Python, and knows nothing of the collection.
"""

from __future__ import annotations

import json
from typing import cast

Snapshot = dict[str, str]

SCRIPT = r"""
import hashlib, json, os, re, subprocess

# Caches, what a shell writes, an empty file that is only there to be locked, and what the agent writes whether or not
# anybody plays: whether commits wait, and what it has to tell.
SKIP = ("/root/.ansible", "/root/.bash_history", "/root/.bconsole_history", "/var/lib/backup-ha/operation.lock",
        "/var/lib/backup-ha/events", "/var/lib/backup-ha/notices.json")
SKIP_NAMES = ("backup-ha-synchronous.conf",)
AGENTS_ROWS = re.compile(
    r"^COPY backup_ha\.(event|protection) .*?^\\\.$|^SELECT pg_catalog\.setval\('backup_ha\.protection_[^\n]*$",
    re.MULTILINE | re.DOTALL,
)
AGENTS_SETTING = "synchronous_standby_names"
DIGESTED = ("/etc", "/root", "/usr/local", "/var/lib/backup-ha", "/usr/lib/backup-ha", "/var/lib/dpkg/status",
            "/var/cache/debconf", "/var/spool/cron")
LISTED = ("/usr/bin", "/usr/sbin", "/usr/lib/systemd", "/usr/lib/postgresql", "/usr/lib/python3/dist-packages")
DATA = "/var/lib/postgresql"
found = {}


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, cwd="/")
    return done.stdout


def walk(root):
    if not os.path.isdir(root):
        return [root] if os.path.lexists(root) else []
    return [root] + [os.path.join(at, name) for at, folders, files in os.walk(root) for name in folders + files]


def record(path, digest):
    if path.startswith(SKIP) or path.endswith(SKIP_NAMES) or "/__pycache__" in path:
        return
    try:
        status = os.lstat(path)
        text = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
        if os.path.islink(path):
            text += " -> " + os.readlink(path)
        elif os.path.isfile(path):
            with open(path, "rb") as file:
                what = hashlib.sha256(file.read()).hexdigest() if digest else status.st_size
            text += f" {what} {status.st_mtime_ns}"
    except OSError:
        return
    found["file " + path] = text


for root in DIGESTED:
    for path in walk(root):
        record(path, True)
for root in LISTED:
    for path in walk(root):
        record(path, False)
for at, folders, files in os.walk(DATA):
    if at[len(DATA):].count("/") >= 3:
        folders.clear()
    for name in folders:
        found["data " + os.path.join(at, name)] = "there"

for line in run("dpkg-query", "-W", "-f", "${Package} ${Version} ${Status}\n").splitlines():
    found["package " + line.split()[0]] = line
for line in run("systemctl", "list-unit-files", "--no-legend", "--plain").splitlines():
    name, state = line.split()[:2]
    found["unit file " + name] = state
for line in run("systemctl", "list-units", "--all", "--no-legend", "--plain", "--type=service,target").splitlines():
    name, _, active = line.split()[:3]
    if active in ("active", "failed") and not name.startswith(("user@", "session", "backup-ha-events.")):
        found["unit " + name] = active
for unit in ("postgresql@*", "bacula-*", "ssh.service"):
    for block in run("systemctl", "show", unit, "-p", "Id,MainPID,ExecMainStartTimestampMonotonic").split("\n\n"):
        fields = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        if fields.get("MainPID", "0") != "0":
            found["process " + fields["Id"]] = str(sorted(fields.items()))
for link in json.loads(run("ip", "-json", "address")):
    for address in link["addr_info"]:
        found[f"address {address['local']}"] = f"{link['ifname']}/{address['prefixlen']}"
for index, line in enumerate(run("iptables", "-S").splitlines() + run("ip", "route").splitlines()):
    found[f"network {index}"] = line

for line in run("pg_lsclusters", "--no-header").splitlines():
    version, name, port, status = line.split()[:4]
    found[f"cluster {version}/{name}"] = line
    if status.startswith("online"):
        dump = run("runuser", "-u", "postgres", "--", f"/usr/lib/postgresql/{version}/bin/pg_dumpall", "-p", port)
        # Newer versions write a random word against injected commands.
        text = AGENTS_ROWS.sub("", re.sub(r"^\\(un)?restrict .*$", "", dump, flags=re.MULTILINE))
        found[f"databases {version}/{name}"] = hashlib.sha256(text.encode()).hexdigest()
        psql = ("runuser", "-u", "postgres", "--", "psql", "-XAtp", port, "-c")
        found[f"slots {version}/{name}"] = run(*psql, "SELECT slot_name FROM pg_replication_slots ORDER BY 1")
        found[f"settings {version}/{name}"] = hashlib.sha256(
            run(*psql, "SELECT name, setting FROM pg_settings WHERE source <> 'override' "
                f"AND name <> '{AGENTS_SETTING}' ORDER BY 1").encode()
        ).hexdigest()
print(json.dumps(found))
"""


def parse(output: str) -> Snapshot:
    """Read what SCRIPT printed."""
    return cast("Snapshot", json.loads(output))


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    """A line for every thing that came, went or changed."""
    lines = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old != new:
            lines.append(f"{key}: {old or 'absent'} => {new or 'absent'}")
    return lines
