# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets a new certificate: whoever needs one, and both when the authority is new. Keys and signatures are real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _certificates as tls
from ansible_collections.duet.backup_ha.plugins.modules import node_certificate, node_key

Run = Callable[..., dict[str, Any]]
NODES = ("node1", "node2")


@pytest.fixture
def ensure_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys belong to root's group here: the machine that tests has no PostgreSQL."""
    make = tls.ensure_key
    monkeypatch.setattr(tls, "ensure_key", lambda path, _group: make(path, "root"))


def assemble(run_module: Run, monkeypatch: pytest.MonkeyPatch, folder: Path, signer: str) -> dict[str, str]:
    """One assembly's certificates, as the node role asks for them and puts them in place; returns the new ones."""
    requests: dict[str, Any] = {}
    for node in NODES:
        monkeypatch.setattr(tls, "TLS_DIRECTORY", folder / node)
        monkeypatch.setattr(tls, "CA_DIRECTORY", folder / node / "ca")
        requests[node] = run_module(node_key.main, names=[node], addresses=["192.0.2.1"])
    monkeypatch.setattr(tls, "CA_DIRECTORY", folder / signer / "ca")
    signed = run_module(node_certificate.main, cluster="vault", requests=requests)
    for node in NODES:
        (folder / node / "ca.crt").write_text(signed["authority"], encoding="ascii")
        if node in signed["certificates"]:
            (folder / node / "node.crt").write_text(signed["certificates"][node], encoding="ascii")
    assert signed["changed"] == bool(signed["certificates"])
    return dict(signed["certificates"])


@pytest.mark.usefixtures("ensure_key")
def test_a_new_authority_signs_both(run_module: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert set(assemble(run_module, monkeypatch, tmp_path, "node2")) == {*NODES}
    assert assemble(run_module, monkeypatch, tmp_path, "node2") == {}
    (tmp_path / "node2").rename(tmp_path / "lost")  # with the authority's key
    assert set(assemble(run_module, monkeypatch, tmp_path, "node1")) == {*NODES}
    for node in NODES:
        assert tls.certificate_problem(tmp_path / node, f"DNS:{node},IP:192.0.2.1") is None


@pytest.mark.usefixtures("ensure_key")
def test_who_lost_a_certificate_gets_one(run_module: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assemble(run_module, monkeypatch, tmp_path, "node1")
    (tmp_path / "node2" / "node.crt").unlink()
    assert set(assemble(run_module, monkeypatch, tmp_path, "node1")) == {"node2"}
