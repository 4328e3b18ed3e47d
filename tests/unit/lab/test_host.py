"""What the lab says on a machine that can't carry it yet. The machine is a folder with programs in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

INSTALL = """#!/bin/sh
echo "$DEBIAN_FRONTEND $*" >> {folder}/asked
[ "$1" != install ] || : > {folder}/keyring.gpg
"""


class Machine:
    """A machine that needs a program and a file, of two packages, and has nothing yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.needed = {"podman": "podman", str(folder / "keyring.gpg"): "debian-archive-keyring"}

    def has(self, program: str, text: str = "") -> None:
        path = self.folder / program
        path.write_text(text.format(folder=self.folder))
        path.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def host(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("_host")


@pytest.fixture
def machine(host: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host, "NEEDED", made.needed)
    return made


def refusal(host: ModuleType) -> str:
    with pytest.raises(host.LabError) as refused:
        host.install_requirements()
    return str(refused.value)


def test_who_is_not_root_is_told_to_use_sudo(host: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.os, "geteuid", lambda: 1000)
    with pytest.raises(host.LabError, match=r"runs as user 1000, .* needs root: run the same command with sudo"):
        host.require_root()
    monkeypatch.setattr(host.os, "geteuid", lambda: 0)
    host.require_root()


@pytest.mark.usefixtures("machine")
def test_without_apt_get_the_packages_are_named(host: ModuleType) -> None:
    said = refusal(host)
    assert "lacks debian-archive-keyring podman and has no apt-get" in said and "by hand" in said


def test_what_is_there_needs_no_apt_get(host: ModuleType, machine: Machine) -> None:
    machine.has("podman")
    machine.has("keyring.gpg")
    host.install_requirements()


def test_only_what_is_missing_is_installed(host: ModuleType, machine: Machine) -> None:
    machine.has("podman")
    machine.has("apt-get", INSTALL)
    host.install_requirements()
    install = "noninteractive install --yes --no-install-recommends debian-archive-keyring"
    assert machine.asked == ["noninteractive update", install]


@pytest.mark.parametrize("verb", ["update", "install"])
@pytest.mark.parametrize(
    ("stderr", "reason"),
    [("E: No mirror\nW: odd\nE: No luck", "E: No mirror; E: No luck"), ("Killed", "it gave no reason")],
)
def test_an_apt_get_that_fails_is_quoted(
    host: ModuleType, machine: Machine, verb: str, stderr: str, reason: str
) -> None:
    machine.has("apt-get", f"#!/bin/sh\n[ $1 != {verb} ] || {{{{ echo '{stderr}' >&2; exit 100; }}}}\n")
    assert refusal(host) == (
        f"the lab needs debian-archive-keyring podman, and `apt-get {verb}` failed ({reason}): "
        "make a package mirror reachable, or install these packages by hand"
    )


def test_what_apt_get_did_not_bring_is_named(host: ModuleType, machine: Machine) -> None:
    machine.has("apt-get", INSTALL)
    assert refusal(host).endswith("still lacks podman: install it by hand")
