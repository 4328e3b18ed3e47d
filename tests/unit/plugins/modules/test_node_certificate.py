# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what the nodes have to what they get, as the role does it. Keys and signatures are real."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.duet.backup_ha.plugins.filter.certificate_plan import certificate_plan
from ansible_collections.duet.backup_ha.plugins.module_utils import _certificates as tls
from ansible_collections.duet.backup_ha.tests.unit.plugins.certified import NODES, Pair


def test_blank_nodes_get_everything(pair: Pair) -> None:
    for node in NODES:
        assert tls.certificate_problem(pair.on(node), f"DNS:{node},IP:192.0.2.1") is None
    assert len({*pair.read("ca/ca.key")}) == len({*pair.read("ca.crt")}) == 1, "each keeps the authority"
    (plan,) = pair.renew()
    assert plan["done"] and plan["waits"] == []


def test_everybody_gets_a_new_certificate_of_the_same_authority(pair: Pair) -> None:
    before = pair.read("node.crt"), pair.read("ca.crt"), pair.read("node.key")
    (plan,) = pair.renew(renew=True)
    after = pair.read("node.crt"), pair.read("ca.crt"), pair.read("node.key")
    assert after[0][0] != before[0][0] and after[0][1] != before[0][1] and after[1:] == before[1:]
    assert {*plan["sign"]} == {*NODES}


def test_a_new_authority_takes_three_rounds(pair: Pair) -> None:
    before = pair.read("ca.crt")[0]
    plans = pair.renew(renew=True, renew_authority=True)
    assert [(plan["make"], len(plan["sign"]), plan["last"]) for plan in plans] == [
        (True, 0, False),
        (False, 2, False),
        (False, 0, True),
    ]
    assert len({*pair.read("ca.crt")}) == 1 and pair.read("ca.crt")[0] != before
    for node in NODES:
        assert len([*(pair.folder / node / "ca").glob("*.key")]) == 1
        assert tls.certificate_problem(pair.on(node), f"DNS:{node},IP:192.0.2.1") is None


def test_an_authority_that_expires_soon_is_replaced(pair: Pair) -> None:
    pair.monkeypatch.setitem(certificate_plan.__globals__, "RENEW_BEFORE_S", 3651 * 86400)
    found = pair.look()
    assert certificate_plan(found, first=found)["make"]


def test_with_a_node_away_and_back(pair: Pair) -> None:
    pair.absent = {"node2"}
    before = pair.read("node.crt")
    (plan,) = pair.renew(renew=True)
    assert plan["waits"] == ["node2 did not answer; it gets its own when this is run again."]
    assert pair.read("node.crt")[0] != before[0] and pair.read("node.crt")[1] == before[1]
    plans = pair.renew(renew=True, renew_authority=True)
    assert "The new authority signs when both nodes trust it" in plans[-1]["waits"][-1]
    assert pair.renew()[-1]["done"], "nothing more can be done"
    pair.absent = set()
    pair.renew(renew=True)
    assert len({*pair.read("ca.crt")}) == 1 and pair.renew()[-1]["done"]


@pytest.mark.parametrize("lost", NODES)
def test_a_lost_node_takes_no_authority_along(pair: Pair, lost: str) -> None:
    before = {node: (pair.folder / node / "ca.crt").read_bytes() for node in NODES}
    shutil.rmtree(pair.folder / lost)
    (plan,) = pair.renew()
    assert [*plan["sign"]] == [lost] and not plan["make"]
    assert {node: (pair.folder / node / "ca.crt").read_bytes() for node in NODES} == before


def test_the_only_key_is_lost(pair: Pair) -> None:
    """As in a cluster of an earlier version, where one node kept it."""
    shutil.rmtree(pair.folder / "node2" / "ca")
    shutil.rmtree(pair.folder / "node1")
    plans = pair.renew()
    assert plans[0]["make"] and plans[0]["signer"] == "node2" and plans[-1]["last"]
    assert len({*pair.read("ca.crt")}) == 1


def test_a_rehearsal_changes_nothing_and_shows_no_key(pair: Pair) -> None:
    before = {path: path.read_bytes() for path in pair.folder.rglob("*") if path.is_file()}
    pair.diffs.clear()
    pair.renew(check=True, renew=True, renew_authority=True)
    pair.renew(check=True, renew=True)
    assert {path: path.read_bytes() for path in pair.folder.rglob("*") if path.is_file()} == before
    assert len(pair.diffs) == 4 and "a new one" in pair.diffs[-1] and not any("KEY" in diff for diff in pair.diffs)


def test_what_was_written_and_not_taken_up_is_taken_up(pair: Pair) -> None:
    (pair.on("node1") / "pending").touch()
    (plan,) = pair.renew()
    assert [*plan["trust"]] == ["node1"] and not (pair.folder / "node1" / "pending").exists()
