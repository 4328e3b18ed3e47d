# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two nodes' directories of keys and certificates, and what the role certificates does with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.filter.certificate_plan import certificate_plan
from ansible_collections.duet.backup_ha.plugins.module_utils import _authority
from ansible_collections.duet.backup_ha.plugins.module_utils import _certificates as tls
from ansible_collections.duet.backup_ha.plugins.modules import node_certificate, node_key, node_tls

Run = Callable[..., dict[str, Any]]
NODES = ("node1", "node2")


@dataclass
class Pair:
    """Two nodes' directories; ``absent`` are those that do not answer."""

    run: Run
    monkeypatch: pytest.MonkeyPatch
    folder: Path
    absent: set[str] = field(default_factory=set)
    own: dict[str, dict[str, str]] = field(default_factory=dict)
    diffs: list[str] = field(default_factory=list)

    def on(self, node: str) -> Path:
        self.monkeypatch.setattr(tls, "TLS_DIRECTORY", self.folder / node)
        self.monkeypatch.setattr(tls, "PENDING", self.folder / node / "pending")
        self.monkeypatch.setattr(_authority, "CA_DIRECTORY", self.folder / node / "ca")
        return self.folder / node

    def look(self, check: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for node in NODES:
            self.on(node)
            asked = {"names": [node], "addresses": ["192.0.2.1"]}
            found[node] = {} if node in self.absent else self.run(node_key.main, _check=check, **asked)
        return found

    def renew(self, check: bool = False, **wanted: bool) -> list[dict[str, Any]]:
        """What the role's rounds do; returns their plans."""
        plans: list[dict[str, Any]] = []
        first: dict[str, Any] = {}
        while not plans or not (plans[-1]["last"] or check):
            assert len(plans) < 4
            found = self.look(check)
            first = first or found
            plan = certificate_plan(found, first=first, preferred="node1", own=self.own, **wanted)
            plans.append(plan)
            signed: dict[str, Any] = {}
            if self.own:
                signed["certificates"] = {node: self.own[node]["certificate"] for node in plan["sign"]}
            elif plan["make"] or plan["sign"] or plan["copies"]:
                self.on(plan["signer"])
                told = {"make": plan["make"], "sign": plan["sign"], "copy": plan["copies"]}
                signed = self.run(node_certificate.main, _check=check, cluster="vault", requests=found, **told)
            for node, trust in plan["trust"].items():
                self.put(node, plan, trust, signed, check)
        return plans

    def put(self, node: str, plan: dict[str, Any], trust: list[str], signed: dict[str, Any], check: bool) -> None:
        self.on(node)
        done = self.run(
            node_tls.main,
            _check=check,
            _diff=True,
            authorities=[pem or signed["authority"] for pem in trust],
            certificate=signed.get("certificates", {}).get(node, ""),
            key=self.own.get(node, {}).get("key", "") if node in plan["sign"] else "",
            renewed=node in plan["sign"],
            copy=signed.get("copies", {}).get(node, {}),
        )
        assert done["changed"], done
        self.diffs.append(str(done["diff"]))

    def read(self, name: str) -> list[bytes]:
        return [(self.folder / node / name).read_bytes() for node in NODES]
