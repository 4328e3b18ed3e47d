"""The on-node command for a failover, and what has to be true after it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from tests.scenarios.cluster import DIRECTOR, TARGET
from tests.scenarios.support import DATA, UNIT, Lab, within

DONE, NOT_DONE = 0, 1
HISTORY = "SELECT kind, from_node, to_node, outcome, who, why FROM backup_ha.history ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True)
class Answer:
    """What `backup-ha failover` gave back."""

    code: int
    said: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.said)
        return found


def failover(lab: Lab, node: str, *options: str) -> Answer:
    """Run the on-node command, without a terminal."""
    script = f"timeout 60 backup-ha failover {' '.join(options)} 2>&1 < /dev/null; code=$?; echo; echo $code"
    words, _newline, code = lab.sh(node, script).rpartition("\n")
    return Answer(int(code), words.strip())


def refused(lab: Lab, node: str, *options: str) -> str:
    """The command is refused and nothing has changed; return what it said."""
    answer = failover(lab, node, *options)
    assert answer.code == NOT_DONE and "Nothing was changed." in answer.said, answer
    assert not lab.accepts_writes(node) and not lab.has_endpoint(node), answer
    assert lab.fails(node, "test -e /var/lib/backup-ha/primary.json"), "it remembers being primary"
    return " ".join(answer.said.split())


def serves(lab: Lab, node: str) -> None:
    assert lab.accepts_writes(node) and lab.has_endpoint(node)
    within(10, lambda: lab.is_active(node, TARGET) and lab.is_active(node, DIRECTOR), "the workload runs")


def answers_session(lab: Lab, node: str) -> bool:
    return not lab.fails(node, "cd /; runuser -u postgres -- psql -Xc 'SELECT 1'")


def follows(lab: Lab, primary: str, position: str) -> bool:
    """The other node has replayed that far; one with WAL of its own may stream for a moment, and goes no further."""
    query = f"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn >= '{position}'"
    return lab.sql(primary, query) == "1"


COPY = f"""
systemctl stop {UNIT}
rm -rf {DATA} /var/lib/backup-ha/primary.json
conninfo=$(sed -n "s/^primary_conninfo = '\\(.*\\)'/\\1/p" /etc/postgresql/15/main/conf.d/backup-ha.conf)
slot=$(sed -n "s/^primary_slot_name = '\\(.*\\)'/\\1/p" /etc/postgresql/15/main/conf.d/backup-ha.conf)
cd /
runuser -u postgres -- pg_basebackup -d "$conninfo" -D {DATA} -S "$slot" -X stream -c fast -w
systemctl start {UNIT}
"""


def take_back(lab: Lab, primary: str, secondary: str) -> None:
    """Make the old primary a secondary: it follows, unless its last WAL never reached the new one."""
    deadline = time.monotonic() + 8
    position = lab.sql(primary, "SELECT pg_current_wal_lsn()")
    while not follows(lab, primary, position):
        if time.monotonic() > deadline:
            lab.sh(secondary, f"set -e\n{COPY}")
            return
        time.sleep(0.5)


def never_writes(lab: Lab, node: str, seconds: float = 4.0) -> None:
    """PostgreSQL comes up and takes no write, however long one looks."""
    within(30, lambda: answers_session(lab, node), "PostgreSQL answers")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not lab.accepts_writes(node)
    assert not lab.has_endpoint(node) and not lab.is_active(node, TARGET)


def sure(primary: str) -> tuple[str, ...]:
    """Everything that an operator can say."""
    return "-e", f"backup_ha_failover_confirmed={primary}", "-e", f"backup_ha_primary_is_off={primary}"
