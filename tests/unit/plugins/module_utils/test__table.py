# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status as people see it, to the letter, on a terminal of 80 columns."""

from __future__ import annotations

from textwrap import dedent

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._table import render
from ansible_collections.duet.backup_ha.plugins.module_utils._verdict import Verdict, judge
from ansible_collections.duet.backup_ha.tests.unit.plugins import worlds
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import Nodes, both, changed


def shown(nodes: Nodes) -> str:
    return render(judge("duet", nodes), nodes)


def test_a_healthy_cluster() -> None:
    assert shown({**worlds.pair()}) == dedent("""\
        Cluster duet: HEALTHY

        NODE   ROLE       TL  LSN        LAG  STREAM     ENDPOINT  SERVICES
        node1  primary    1   0/30134E0  -    streaming  here      1 of 1 run
        node2  secondary  1   0/30134E0  0 B  streaming  no        0 of 1 run""")


def test_a_secondary_that_is_gone() -> None:
    nodes = both(changed(worlds.primary(), "postgresql", "senders", to=[]), None)
    assert shown(nodes) == dedent("""\
        Cluster duet: DEGRADED

        NODE   ROLE       TL  LSN        LAG  STREAM  ENDPOINT  SERVICES
        node1  primary    1   0/30134E0  -    -       here      1 of 1 run
        node2  no answer  -   -          -    -       -         -

        - node2 does not answer over SSH.

        Next: Bring node2 back; it follows by itself.""")


def test_two_stopped_nodes() -> None:
    nodes = both(worlds.stopped("node1", "shut down"), worlds.stopped("node2"))
    assert shown(nodes) == dedent("""\
        Cluster duet: FAILED

        NODE   ROLE     TL  LSN  LAG  STREAM  ENDPOINT  SERVICES
        node1  stopped  -   -    -    -       no        0 of 1 run
        node2  stopped  -   -    -    -       no        0 of 1 run

        - No node that answers accepts writes: node1 is stopped, node2 is stopped.

        Next: Start PostgreSQL on node1 and node2 (systemctl start
              postgresql@15-main.service): the former primary resumes by itself.""")


def test_a_server_that_is_no_node_yet() -> None:
    nodes = both(worlds.unassembled("node1"), worlds.unassembled("node2"))
    assert "node1  none  -   -    -    -       -         -" in shown(nodes)


def test_a_late_secondary_that_does_not_stream() -> None:
    node = changed(worlds.secondary(), "postgresql", "lag_bytes", to=100 * 2**20)
    changed(node, "postgresql", "receiver", to=None)
    assert "node2  secondary  1   0/30134E0  100.0 MiB  none       no        0 of 1 run" in shown(
        both(worlds.primary(), node)
    )


def test_only_the_other_node_s_stream_counts() -> None:
    node = changed(worlds.primary(), "postgresql", "senders", to=[worlds.sender("barman", "barman")])
    assert "node1  primary    1   0/30134E0  -    -  " in shown(both(node, worlds.secondary()))


def test_only_the_workload_s_services_are_counted() -> None:
    node = worlds.primary()
    node["services"]["bacula-sd.service"] = worlds.unit("failed")
    node["services"]["catalog.timer"] = worlds.unit("active")
    assert "1 of 2 run" in shown(both(node, worlds.secondary()))


def test_without_a_workload_there_is_nothing_to_count() -> None:
    node = worlds.primary()
    del node["services"][worlds.WORKLOAD_UNIT]
    row = next(line for line in shown(both(node, worlds.secondary())).splitlines() if line.startswith("node1"))
    assert row.split() == ["node1", "primary", "1", "0/30134E0", "-", "streaming", "here", "-"]


@pytest.mark.parametrize(
    "name", ["n", "node1", "backup-server-1.berlin.example.org", "a" * 63 + ".example.org", "bücher.example.org"]
)
@pytest.mark.parametrize("lag", [0, 100 * 2**20])
def test_no_line_is_wider_than_the_terminal(name: str, lag: int) -> None:
    primary, secondary = worlds.primary(name, "other"), worlds.secondary("other", name)
    for node in (primary, secondary):
        node["postgresql"].update(lsn="16/B374D848", timeline=12)
    secondary["postgresql"]["lag_bytes"] = lag
    text = shown({name: primary, "other": secondary})
    assert max(len(line) for line in text.splitlines()) <= 80
    assert name[:6] in text


def test_long_names_stay_apart() -> None:
    names = [f"backup-{number}.storage.berlin.example.org" for number in (1, 2)]
    nodes: Nodes = {names[0]: worlds.primary(*names), names[1]: worlds.secondary(names[1], names[0])}
    first, second = (line.split()[0] for line in shown(nodes).splitlines()[3:5])
    assert first != second
    assert first.endswith("…") and names[0].startswith(first[:-1])


@pytest.mark.parametrize(("columns", "words"), [(80, "word " * 60), (80, "x" * 78)])
def test_reasons_and_what_comes_next_are_wrapped(columns: int, words: str) -> None:
    text = render(Verdict("duet", "failed", reasons=[words], next=words), {})
    assert max(map(len, text.splitlines())) <= columns
    assert "\n- " in text and "\nNext: " in text


def test_names_are_not_torn_at_their_hyphens() -> None:
    """A command that is broken inside a unit's name cannot be copied."""
    for padding in range(20, 45):
        text = render(Verdict("duet", "failed", next=f"{'y' * padding} {worlds.POSTGRESQL_UNIT} {worlds.TARGET}"), {})
        assert worlds.POSTGRESQL_UNIT in text and worlds.TARGET in text


def test_the_last_events_of_both_nodes_each_once() -> None:
    nodes: Nodes = {**worlds.pair()}
    known = [worlds.event(at=1795364800.0 + number, identity=str(number)) for number in range(8)]
    changed(nodes["node1"] or {}, "events", to=known[3:])
    changed(nodes["node2"] or {}, "events", to=known[2:7])
    lines = shown(nodes).splitlines()
    begin = lines.index("Last events:")
    assert len([line for line in lines[begin + 1 :] if line.startswith("- ")]) == 5
    assert "role_changed: node1 is the primary now" in " ".join(" ".join(lines[begin:]).split())
    assert max(map(len, lines)) <= 80
