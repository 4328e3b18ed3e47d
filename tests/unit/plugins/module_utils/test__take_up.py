# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reload, and the proof that the server shows the new certificate."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _pem, _take_up
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, UnreachableError
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG, Session


class World:
    """A server that is signalled, and what it says afterwards, look by look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, states: list[str], shown: list[str]) -> None:
        self.signals: list[tuple[int, int]] = []
        self.states, self.shown = states, shown
        monkeypatch.setattr(_take_up, "postmaster_pid", lambda _server: 4711)
        monkeypatch.setattr(os, "kill", lambda pid, number: self.signals.append((pid, number)))
        monkeypatch.setattr(_take_up, "connect_local", lambda _server: Session("here"))
        monkeypatch.setattr(_take_up, "one", lambda *_words: self._next(self.states))
        monkeypatch.setattr(_take_up, "presented", lambda *_words: self._next(self.shown))

    @staticmethod
    def _next(said: list[str]) -> str:
        return said.pop(0) if len(said) > 1 else said[0]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The new certificate's identity."""
    monkeypatch.setattr(_take_up, "TLS_DIRECTORY", tmp_path)
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    files = ["-keyout", str(tmp_path / "node.key"), "-out", str(tmp_path / "node.crt")]
    subprocess.run([*argv, *files], check=True, capture_output=True)
    return _pem.identity(_pem.read_all(tmp_path / "node.crt")[0])


def test_it_waits_until_the_new_one_is_shown(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    world = World(monkeypatch, ["waits", "ours"], ["before", "", own])
    assert _take_up.take_up(CONFIG) is True
    assert world.signals == [(4711, signal.SIGHUP)] and world.shown == [own]


def test_one_that_never_shows_it_is_named(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    assert own
    World(monkeypatch, ["ours"], ["before"])
    with pytest.raises(BackupHaError, match="PostgreSQL on node1 did not take up its new certificate"):
        _take_up.take_up(CONFIG, limit=0.1)


def test_a_server_that_does_not_use_it_yet(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    World(monkeypatch, ["waits", "other"], [own])
    assert _take_up.take_up(CONFIG) is False


def test_one_that_lets_nobody_in_yet_shows_it_all_the_same(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    World(monkeypatch, ["waits"], [own])

    def refuse(_server: object) -> None:
        raise UnreachableError("starting up")

    monkeypatch.setattr(_take_up, "connect_local", refuse)
    assert _take_up.take_up(CONFIG) is True


def test_nobody_to_tell(monkeypatch: pytest.MonkeyPatch, own: str, tmp_path: Path) -> None:
    world = World(monkeypatch, ["ours"], [own])
    (tmp_path / "node.crt").unlink()
    assert _take_up.take_up(CONFIG) is False
    monkeypatch.setattr(_take_up, "postmaster_pid", lambda _server: None)
    assert _take_up.take_up(CONFIG) is False and world.signals == []


def serve_once(listener: socket.socket, answer: bytes, folder: Path) -> None:
    with listener, listener.accept()[0] as plain:
        assert plain.recv(8) == bytes.fromhex("0000000804d2162f")
        plain.sendall(answer)
        if answer == b"S":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "node.crt", folder / "node.key")
            context.wrap_socket(plain, server_side=True).close()


@pytest.mark.parametrize("answer", [b"S", b"N"])
def test_what_a_server_shows(own: str, tmp_path: Path, answer: bytes) -> None:
    """As PostgreSQL begins TLS, with and without it."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = threading.Thread(target=serve_once, args=(listener, answer, tmp_path), daemon=True)
    server.start()
    assert _take_up.presented(*listener.getsockname()) == (own if answer == b"S" else "")
    server.join(5)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    assert _take_up.presented(*address) == ""
