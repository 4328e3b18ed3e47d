# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates of the user's own take over and are renewed, each together with its key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.duet.backup_ha.plugins.module_utils import _authority
from ansible_collections.duet.backup_ha.plugins.module_utils import _certificates as tls
from ansible_collections.duet.backup_ha.tests.unit.plugins.certified import NODES, Pair


def own_of(pair: Pair, name: str) -> dict[str, dict[str, str]]:
    """What a user gives for both nodes: certificates of an authority of his own, each with its key."""
    pair.monkeypatch.setattr(_authority, "CA_DIRECTORY", pair.folder / name)
    authority = _authority.make("mine")
    found = {}
    for node in NODES:
        key = pair.folder / name / f"{node}.key"
        key.write_text(_authority.new_key(), encoding="ascii")
        certificate = _authority.sign(authority, tls.signing_request(key), f"DNS:{node}")
        found[node] = {"certificate": certificate, "key": key.read_text("ascii"), "authority": authority.pem}
    return found


def test_certificates_of_the_user_and_back(pair: Pair) -> None:
    for name in ("mine", "renewed"):
        pair.own = own_of(pair, name)
        plans = pair.renew()
        assert [len(plan["sign"]) for plan in plans] == [0, 2, 0] and not any(plan["make"] for plan in plans)
        for node in NODES:
            folder = pair.folder / node
            assert (folder / "node.crt").read_text("ascii") == pair.own[node]["certificate"]
            assert (folder / "node.key").read_text("ascii") == pair.own[node]["key"]
            assert (folder / "node.key").stat().st_mode & 0o777 == 0o600
            assert (folder / "ca.crt").read_text("ascii") == pair.own[node]["authority"]
            assert len([*folder.glob("pair-*")]) == 1 and not [*(folder / "ca").glob("*")]
        assert pair.renew()[-1]["done"]
    assert not any("KEY" in diff for diff in pair.diffs)
    pair.own = {}
    assert [plan["make"] for plan in pair.renew()] == [True, False, False]
    for node in NODES:
        assert tls.certificate_problem(pair.on(node), f"DNS:{node},IP:192.0.2.1") is None


def test_the_user_s_and_a_node_away(pair: Pair) -> None:
    """The other one does not trust the user's authority yet."""
    pair.own, pair.absent, before = own_of(pair, "mine"), {"node2"}, pair.read("node.crt")
    plans = pair.renew()
    assert pair.read("node.crt") == before
    assert "because node2 may not trust the new one's authority" in plans[-1]["waits"][1]
    pair.absent = set()
    pair.renew()
    assert [read.decode() for read in pair.read("node.crt")] == [pair.own[node]["certificate"] for node in NODES]


@dataclass
class Breaking:
    """Sets links until it breaks off."""

    point: Callable[[Path, Path], None]
    before: int
    calls: int = 0

    def __call__(self, link: Path, target: Path) -> None:
        self.calls += 1
        if self.calls == self.before:
            raise OSError
        self.point(link, target)


def test_a_key_and_its_certificate_are_replaced_together(pair: Pair) -> None:
    """Broken off before any link on the way there, and then gone on with."""
    folder, point = pair.folder / "node1", tls._point
    for before in range(1, 6):
        one = own_of(pair, f"mine{before}")["node1"]
        pair.on("node1")
        for path in (folder / "node.crt", folder / "node.key"):  # as they were made here
            text = path.read_text("ascii")
            path.unlink()
            path.write_text(text, encoding="ascii")
        breaking = Breaking(point, before)
        pair.monkeypatch.setattr(tls, "_point", breaking)
        with suppress(OSError):
            tls.install(one["certificate"], [one["authority"]], one["key"])
        assert breaking.calls == min(before, 4), "every link was tried"
        assert tls.fits(folder / "node.crt", folder / "node.key"), before
        pair.monkeypatch.setattr(tls, "_point", point)
        tls.install(one["certificate"], [one["authority"]], one["key"])
        assert tls.fits(folder / "node.crt", folder / "node.key")
        assert (folder / "node.crt").read_text("ascii") == one["certificate"]
