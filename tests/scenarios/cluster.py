"""A cluster that a scenario can rely on: assembled, healthy, and with known roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.scenarios.support import NODES, PEER, WAITS_FOR_NOBODY, WRITE, Lab, within

SETTLE_S = 60.0
DIRECTOR = "bacula-director.service"
TARGET = "backup-ha-primary.target"


@dataclass(frozen=True)
class Cluster:
    """The lab's cluster, with the roles that its nodes had when the scenario began."""

    lab: Lab
    primary: str

    @property
    def secondary(self) -> str:
        return PEER[self.primary]

    def settle(self, primary: str | None = None, seconds: float = SETTLE_S) -> str:
        """Wait until everything is as it has to be, whoever is primary or with that one, and return its name."""
        found = within(seconds, lambda: sound_primary(self.lab), lambda: f"a sound cluster; now {faults(self.lab)}")
        assert primary in (None, found), f"{found} is the primary, {primary} should be"
        return str(found)


def sound_primary(lab: Lab) -> str:
    """The primary's name when the cluster is in order, else nothing."""
    states = {node: look(lab, node) for node in NODES}
    return "" if _faults(lab, states) else next(node for node in NODES if states[node]["writes"] == "f")


def faults(lab: Lab) -> list[str]:
    """Everything that is wrong with the cluster, by independent means: the collection is not asked."""
    return _faults(lab, {node: look(lab, node) for node in NODES})


def look(lab: Lab, node: str) -> dict[str, str]:
    """What is true on a node, by name; everything is empty on one that is off."""
    lines = lab.sh(
        node,
        _LOOK.format(nobody=WAITS_FOR_NOBODY, write=WRITE, endpoint=lab.endpoint, target=TARGET, director=DIRECTOR),
        check=False,
    )
    found = dict(line.split("=", 1) for line in lines.splitlines())
    return {key: found.get(key, "") for key in (*_ASKED, TARGET, DIRECTOR)}


_ASKED = ("writes", "senders", "endpoint", "operation", "wanted", "word", "timeline")
_LOOK = """
cd /
{nobody}
ask() {{ timeout 5 runuser -u postgres -- psql -XqAt -d "${{2:-postgres}}" -c "$1" 2>&1 | paste -sd' '; }}
echo "writes=$(ask '{write}')"
echo "senders=$(ask 'SELECT host(client_addr), state FROM pg_stat_replication')"
echo "endpoint=$(ip -oneline address | grep -o ' {endpoint}/')"
for unit in {target} {director}; do echo "$unit=$(systemctl is-active $unit)"; done
echo "wanted=$(grep -o '"synchronous": "[a-z]*' /etc/backup-ha/node.json | cut -d'"' -f4)"
echo "word=$(ask 'SELECT node, timeline, protected FROM backup_ha.protection ORDER BY id DESC LIMIT 1' backup_ha)"
echo "timeline=$(ask "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int")"
echo "operation=$(cat /var/lib/backup-ha/operation.json 2>/dev/null)"
"""


def _faults(lab: Lab, states: dict[str, dict[str, str]]) -> list[str]:
    writers = [node for node, state in states.items() if state["writes"] == "f"]
    found = [f"{node} has the operation {state['operation']}" for node, state in states.items() if state["operation"]]
    if len(writers) != 1:
        answers = ", ".join(f"{node} says {state['writes'] or 'nothing'}" for node, state in states.items())
        return [f"{writers or 'no node'} accept writes ({answers})", *found]
    primary, secondary = writers[0], PEER[writers[0]]
    for unit in (TARGET, DIRECTOR):
        if states[primary][unit] != "active":
            found.append(f"{unit} is {states[primary][unit]} on the primary {primary}")
        if states[secondary][unit] not in ("inactive", "failed"):
            found.append(f"{unit} is {states[secondary][unit]} on the secondary {secondary}")
    if not states[primary]["endpoint"]:
        found.append(f"the primary {primary} lacks the endpoint")
    if states[secondary]["endpoint"]:
        found.append(f"the secondary {secondary} has the endpoint")
    if states[primary]["senders"] != f"{lab.address(secondary)}|streaming":
        found.append(f"{primary} sends WAL to {states[primary]['senders'] or 'nobody'}")
    seen = states[primary]
    if seen["wanted"] in ("preferred", "required") and seen["word"] != f"{primary}|{seen['timeline']}|t":
        found.append(f"commits on {primary} do not wait for {secondary}: {seen['word']}")
    return found


_ALLOW = """
agent() {{ systemctl show --property ActiveState,MainPID backup-ha-agent.service; }}
before=$(agent)
python3 - <<'PYTHON' || exit 0
import json
from pathlib import Path
path = Path("/etc/backup-ha/node.json")
document = json.loads(path.read_text())
before, document["agent"]["auto_rejoin"] = document["agent"]["auto_rejoin"], {allowed}
if before is {allowed}:
    raise SystemExit(1)
path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\\n")
PYTHON
case $before in *=active*) for _ in $(seq 50); do
    now=$(agent)
    case $now in "$before") ;; *=active*) exit 0 ;; esac
    sleep 0.2
done ;; esac
"""


def allow_rejoin(lab: Lab, allowed: bool) -> None:
    """As with backup_ha_auto_rejoin and assemble, but at once. The agents begin anew with it, and are waited for."""
    for node in NODES:
        lab.sh(node, _ALLOW.format(allowed=allowed), check=False)


def director_answers(lab: Lab, node: str) -> str:
    """What the Director that the endpoint leads to says about a query that its catalog answers."""
    query = ".sql query=\"SELECT 'row ' || count(*) || ' of version ' || max(versionid) FROM version\""
    return lab.sh(node, f"timeout 10 bconsole -n <<'CONSOLE'\n{query}\nCONSOLE", check=False)


def catalog(lab: Lab, node: str) -> str:
    """Every row of the catalog's tables that hold history, as text."""
    tables = ("job", "file", "path", "media", "jobmedia", "pool", "client", "fileset")
    dump = "runuser -u postgres -- pg_dump --data-only --column-inserts"
    words = " ".join(f"--table={table}" for table in tables)
    return lab.sh(node, f"cd /; {dump} {words} bacula | grep '^INSERT' | sort")


def postmaster_starts(lab: Lab, node: str) -> int:
    """How often PostgreSQL has been started on a node, by its own log."""
    log = "/var/log/postgresql/postgresql-15-main.log"
    return int(lab.sh(node, f"grep -c 'LOG:  starting PostgreSQL' {log} || true"))


def control_file(lab: Lab, node: str) -> dict[str, Any]:
    """What pg_controldata says of a node's data directory."""
    output = lab.sh(node, "/usr/lib/postgresql/15/bin/pg_controldata /var/lib/postgresql/15/main")
    return {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in output.splitlines())}
