"""Configuration files on both nodes of a lab, looked at without the collection."""

from __future__ import annotations

from tests.scenarios.cluster import Cluster
from tests.scenarios.support import NODES, Lab, within

DIRECTORY = "/etc/bacula"
REPLACED = "/var/lib/backup-ha/replaced"
# Its replication is asked to take four seconds; a machine with other things to do may take longer.
REPLICATED_S = 20.0


def write(lab: Lab, node: str, name: str, content: str) -> None:
    """As an editor does: a new file takes the old one's place."""
    path = f"{DIRECTORY}/{name}"
    lab.sh(node, f"cat > {path}.edited <<'END'\n{content}\nEND\nchmod 0640 {path}.edited; mv {path}.edited {path}")


def read(lab: Lab, node: str, name: str) -> str:
    """Empty where there is no such file."""
    return lab.sh(node, f"cat {DIRECTORY}/{name} 2>/dev/null", check=False)


def in_stream(lab: Lab, node: str, name: str) -> str:
    """What a node's database holds of a file."""
    query = f"SELECT convert_from(content, 'UTF8') FROM backup_ha.file WHERE path = '{DIRECTORY}/{name}'"
    return lab.sql(node, query, "backup_ha")


def listing(lab: Lab, node: str) -> str:
    """Every path below the directory but the per-node ones: kind, mode, owner, target, content."""
    own = "! -name bacula-fd.conf ! -name bacula-sd.conf ! -name common_default_passwords ! -name '*~'"
    return lab.sh(
        node,
        f"cd {DIRECTORY}; find . {own} ! -name '*.dpkg-*' ! -name '*.ucf-*' -printf '%p %y %m %u:%g %l\\n' | sort;"
        f" find . -type f {own} ! -name '*.dpkg-*' ! -name '*.ucf-*' -exec sha256sum {{}} + | sort",
    )


def same(lab: Lab) -> None:
    """Wait until both nodes have the same files."""
    within(
        REPLICATED_S,
        lambda: len({listing(lab, node) for node in NODES}) == 1,
        lambda: "the same files:\n" + "\n\n".join(listing(lab, node) for node in NODES),
    )


def arrives(cluster: Cluster, name: str, content: str) -> None:
    lab, there = cluster.lab, cluster.secondary
    within(REPLICATED_S, lambda: read(lab, there, name) == content, f"{name} with {content!r} on {there}")


def put_aside(lab: Lab, node: str, content: str) -> bool:
    return not lab.fails(node, f"grep -rqxF '{content}' {REPLACED}")


def journal(lab: Lab, node: str, words: str) -> int:
    """How many lines of the agent's journal hold these words."""
    return int(lab.sh(node, f"journalctl -q -o cat -u backup-ha-agent | grep -cF '{words}' || true"))
