"""Certificates are renewed while everything goes on, also with a node away; whoever is not known is not let in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from measure.access import Access
from tests.scenarios import tls
from tests.scenarios.cluster import Cluster
from tests.scenarios.playbook import Outcome
from tests.scenarios.support import NODES, PEER, UNIT, Lab, within
from tests.scenarios.tls import CA, TLS
from tests.scenarios.watching import watch_over

MODES = {
    f"{TLS}/node.key": "600 postgres postgres",
    f"{TLS}/node.crt": "644 root root",
    f"{TLS}/ca.crt": "644 root root",
    CA: "700 root root",
    f"{CA}/*.key": "600 root root",
}
RIGHTS = """
SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = 'backup_ha'
UNION ALL SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'backup_ha'
UNION ALL SELECT count(*) > 2 FROM pg_auth_members WHERE member = 'backup_ha'::regrole
UNION ALL SELECT pg_has_role('backup_ha', name, 'member') FROM unnest(array['pg_read_all_data', 'pg_write_all_data',
  'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program']) AS name
"""
NOTHING = "Nothing was changed"
SLOW_S = 3.0  # the machine is shared; a restart or a lost session would be an error, not a pause


@pytest.fixture
def access(cluster: Cluster, tmp_path: Path) -> Access:
    return watch_over(cluster, tmp_path).access


def root_of(lab: Lab, node: str, folder: Path, name: str = "root.crt") -> Path:
    """What a client trusts: a copy of a node's authorities."""
    path = folder / name
    path.write_text(lab.sh(node, f"cat {TLS}/ca.crt") + "\n", encoding="ascii")
    return path


def stream_is_verified(cluster: Cluster) -> bool:
    """A new session of the receiver, with the certificates that are in place now."""
    lab, primary = cluster.lab, cluster.primary
    query = (
        "SELECT state, client_dn FROM pg_stat_replication JOIN pg_stat_ssl USING (pid)"
        " WHERE ssl AND backend_start > clock_timestamp() - interval '30 s'"
    )
    return lab.sql(primary, query) == "streaming|/CN=backup_ha"


def connect_anew(cluster: Cluster) -> None:
    lab = cluster.lab
    lab.sql(cluster.primary, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
    within(20, lambda: stream_is_verified(cluster), "the secondary streams with verified certificates")
    cluster.settle(cluster.primary)


def undisturbed(cluster: Cluster, access: Access, root: Path, *options: str) -> Outcome:
    """Renew while one session through the endpoint writes: nothing is restarted, no session ends."""
    lab = cluster.lab
    within(20, lambda: lab.is_active(cluster.secondary, UNIT), "systemd has seen the start, too")
    before = tls.sessions(cluster)
    with tls.Writer(tls.conninfo(lab, access, root, lab.endpoint)) as writer:
        within(10, lambda: len(writer.gaps) > 10, "the client writes")
        outcome = lab.play("certificates", *options).check()
        count = len(writer.gaps)
        within(10, lambda: len(writer.gaps) > count + 10, "the client goes on")
    assert writer.problems == []
    assert max(writer.gaps) < SLOW_S
    assert tls.sessions(cluster) == before
    return outcome


def test_a_renewal_disturbs_nobody(cluster: Cluster, access: Access, tmp_path: Path) -> None:
    lab, root = cluster.lab, root_of(cluster.lab, cluster.primary, tmp_path)
    before = {node: tls.serial(lab, node) for node in NODES}
    secrets = tls.secrets(lab)
    with lab.unchanged():
        rehearsal = lab.play("certificates", "--check", "--diff").check()
    assert "planned" in rehearsal.said and sorted(rehearsal.changed.values()) == [1, 2], rehearsal
    assert "a new one" in rehearsal.said and "PRIVATE KEY" not in rehearsal.output, rehearsal
    with tls.Sampled(lab) as sampled:
        outcome = undisturbed(cluster, access, root, "-vvv", "--diff")
    for node in NODES:
        assert tls.serial(lab, node) == tls.served(lab, node) != before[node]
    seen = sampled.text + outcome.output
    assert "node_tls" in sampled.text, "the command lines were seen"
    assert [name for name, secret in secrets.items() if secret in seen or "PRIVATE KEY" in seen] == []
    connect_anew(cluster)


def test_who_may_do_and_read_what(cluster: Cluster) -> None:
    lab = cluster.lab
    for node in NODES:
        for path, mode in MODES.items():
            assert {*lab.sh(node, f"stat -c '%a %U %G' {path}").splitlines()} == {mode}, (node, path)
    assert {*lab.sql(cluster.primary, RIGHTS).splitlines()} == {"f"}
    here, there = lab.address(cluster.secondary), lab.address(cluster.primary)
    for refused in ("sslmode=disable", "sslmode=require sslcert=none"):
        where = f"host={there} user=backup_ha dbname=postgres {refused}"
        said = lab.sh(cluster.secondary, f"psql '{where}' -c 'SELECT 1' 2>&1 || true")
        assert ("FATAL" in said and here in said) or "requires a valid client certificate" in said, said


def test_the_password_of_the_proof_is_seen_nowhere(cluster: Cluster) -> None:
    lab = cluster.lab
    with tls.Sampled(lab) as sampled:
        outcome = lab.play("switchover", "-vvv").check()
    cluster.settle(cluster.secondary)
    seen = outcome.output + sampled.text
    assert re.findall(r'password[\\"]+: *[\\"]+[^"\\]+', seen) == []
    assert "SCRAM-SHA-256$" not in seen


@pytest.mark.later
def test_a_new_authority_disturbs_nobody(cluster: Cluster, access: Access, tmp_path: Path) -> None:
    lab, name = cluster.lab, tls.endpoint_name(cluster.lab)
    old = root_of(lab, cluster.primary, tmp_path)
    before = tls.authorities(lab, cluster.primary)
    undisturbed(cluster, access, old, "-e", "backup_ha_renew_authority=true")
    (now,) = {tuple(tls.authorities(lab, node)) for node in NODES}
    assert len(now) == 1 and [*now] != before
    assert all(lab.sh(node, f"ls {CA}/*.key | wc -l") == "1" for node in NODES), "the old key is gone"
    new = root_of(lab, cluster.primary, tmp_path, "new.crt")
    for root in (old, new):
        for host in (lab.endpoint, name):
            assert tls.connects(lab, access, root, host) == ""
    lab.sh(cluster.primary, "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout /dev/null -out /root/o")
    other = tmp_path / "other.crt"
    other.write_text(lab.sh(cluster.primary, "cat /root/o") + "\n", encoding="ascii")
    assert "certificate verify failed" in tls.connects(lab, access, other, name)
    assert "does not match host name" in tls.connects(lab, access, new, "elsewhere.lab.test")
    connect_anew(cluster)


@pytest.mark.later
def test_while_the_secondary_is_down(cluster: Cluster, access: Access, tmp_path: Path) -> None:
    lab, primary, secondary = cluster.lab, cluster.primary, cluster.secondary
    root = root_of(lab, primary, tmp_path)
    before = {node: tls.serial(lab, node) for node in NODES}
    lab.power_off(secondary)
    outcome = lab.play("certificates", "-e", "backup_ha_renew_authority=true").check()
    assert f"{secondary} did not answer; it gets its own when this is run again" in outcome.said, outcome
    assert tls.serial(lab, primary) == tls.served(lab, primary) != before[primary]
    assert len(tls.authorities(lab, primary)) == 2
    lab.power_on(secondary)
    cluster.settle(primary)
    assert tls.serial(lab, secondary) == before[secondary]
    connect_anew(cluster)
    undisturbed(cluster, access, root)
    assert tls.serial(lab, secondary) == tls.served(lab, secondary) != before[secondary]
    assert [len(tls.authorities(lab, node)) for node in NODES] == [1, 1]
    connect_anew(cluster)


@pytest.mark.later
@pytest.mark.parametrize("copied", [True, False], ids=["with a copy", "the only key"])
def test_a_node_lost_its_files(cluster: Cluster, access: Access, tmp_path: Path, copied: bool) -> None:
    """The other one keeps the authority; where it does not, both trust a new one before it signs."""
    lab, lost = cluster.lab, cluster.secondary
    before = tls.serial(lab, PEER[lost]), tls.authorities(lab, PEER[lost])
    if not copied:
        lab.sh(PEER[lost], f"rm -r {CA}")
    lab.sh(lost, f"rm -r {CA} {TLS}")
    root = root_of(lab, PEER[lost], tmp_path)
    lab.play("assemble").check()
    assert tls.connects(lab, access, root, lab.endpoint) == "" or not copied
    for node in NODES:
        assert tls.serial(lab, node) == tls.served(lab, node)
    now = tls.serial(lab, PEER[lost]), tls.authorities(lab, PEER[lost])
    assert (now == before) is copied and len(now[1]) == 1
    connect_anew(cluster)


@pytest.mark.later
def test_certificates_of_the_user(cluster: Cluster, tmp_path: Path) -> None:
    """At the first assembly, one as text and one by its path; then the cluster's own authority takes over."""
    lab, mine, name = cluster.lab, tls.Mine(tmp_path), tls.endpoint_name(cluster.lab)
    shared = (f"IP:{lab.endpoint}", f"DNS:{name}")
    good = {node: mine.node(lab, node, *shared) for node in NODES}
    good["node2"] = {key: Path(path).read_text(encoding="ascii") for key, path in good["node2"].items()}
    lab.reset(*NODES)
    outcome = lab.play("assemble", "-vvv", inventory=mine.inventory(lab, "mine", good)).check()
    key = Path(good["node1"]["backup_ha_certificate_key"]).read_text(encoding="ascii").splitlines()[1]
    assert key not in outcome.output and "PRIVATE KEY" not in outcome.output
    made = Cluster(lab, cluster.settle())
    access = watch_over(made, tmp_path).access
    for node in NODES:
        assert tls.serial(lab, node) == tls.served(lab, node)
        assert tls.authorities(lab, node) == ["subject=CN = mine"]
        assert lab.sh(node, f"stat -Lc '%a %U' {TLS}/node.key") == "600 postgres"
        assert lab.fails(node, f"journalctl --no-pager | grep -F '{key}'"), "it is in the journal"
    for host in (lab.endpoint, name):
        assert tls.connects(lab, access, mine.root, host) == ""
    connect_anew(made)
    undisturbed(made, access, mine.root)
    assert all("backup-ha" in " ".join(tls.authorities(lab, node)) for node in NODES)
    connect_anew(made)


@pytest.mark.later
def test_a_wrong_certificate_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    lab, mine = cluster.lab, tls.Mine(tmp_path)
    wrong = {node: mine.node(lab, node, f"DNS:{tls.endpoint_name(lab)}") for node in NODES}
    wrong["node2"]["backup_ha_certificate_key"] = f"{tmp_path}/mine.key"
    with lab.unchanged():
        for operation in ("assemble", "certificates"):
            outcome = lab.play(operation, inventory=mine.inventory(lab, "wrong", wrong))
            assert outcome.code != 0 and NOTHING in outcome.said and "refused" in outcome.said, outcome
            for node in NODES:
                assert f"The certificate of {node} (backup_ha_certificate) has" in outcome.said, outcome
            assert f"it also needs IP:{lab.endpoint}" in outcome.said, outcome
            assert "The key of node2 (backup_ha_certificate_key) is not the one of its certificate" in outcome.said
