"""The machine that carries the lab: running commands, and the packages it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _spec import LabError

CONTAINERS_CONF = Path(__file__).resolve().parent / "containers.conf"

# What must be there -> the Debian package that brings it.
NEEDED = {
    "podman": "podman",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "ssh-keygen": "openssh-client",
    "ip": "iproute2",
    "iptables": "iptables",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}


def run(
    *argv: str | Path, data: bytes | None = None, check: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command under LC_ALL=C with the lab's containers.conf.

    Its output is kept. With `check`, a failure raises LabError with the command and its last words.
    """
    words = [str(word) for word in argv]
    done = subprocess.run(
        words,
        input=data or b"",
        capture_output=True,
        env=os.environ | {"LC_ALL": "C", "CONTAINERS_CONF": str(CONTAINERS_CONF)} | (env or {}),
        check=False,
    )
    stdout, stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode != 0:
        last_words = "\n".join((stderr or stdout).strip().splitlines()[-8:])
        raise LabError(f"`{' '.join(words)}` failed with status {done.returncode}: {last_words}")
    return subprocess.CompletedProcess(words, done.returncode, stdout, stderr)


def podman(*argv: str | Path, data: bytes | None = None, check: bool = True) -> str:
    """Run podman and return what it printed."""
    return run("podman", *argv, data=data, check=check).stdout.strip()


@contextmanager
def phase(title: str) -> Iterator[None]:
    """Print a line for one long step, with its seconds when it is done."""
    print(f"lab: {title} ...", end=" ", flush=True)
    begin = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - begin:.1f} s", flush=True)


def require_root() -> None:
    """Raise LabError for anyone but root: networks and mounts cannot be made otherwise."""
    if os.geteuid() != 0:
        raise LabError(
            f"the lab runs as user {os.geteuid()}, and making networks and nodes needs root: "
            "run the same command with sudo"
        )


def missing_packages() -> list[str]:
    """The Debian packages that the lab needs and this machine lacks, sorted."""
    return sorted({package for need, package in NEEDED.items() if not _is_there(need)})


def install_requirements() -> None:
    """Install what is missing with apt-get. Raises LabError where that cannot work."""
    packages = missing_packages()
    if not packages:
        return
    words = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise LabError(
            f"this machine lacks {words} and has no apt-get to install them with; "
            "the lab needs Debian 12: install these packages by hand, or use such a machine"
        )
    with phase(f"installing {words}"):
        _apt_get("update", what=words)
        _apt_get("install", "--yes", "--no-install-recommends", *packages, what=words)
    left = missing_packages()
    if left:
        raise LabError(f"apt-get installed {words}, and still lacks {' '.join(left)}: install it by hand")


def _is_there(need: str) -> bool:
    return Path(need).exists() if need.startswith("/") else shutil.which(need) is not None


def _apt_get(*argv: str, what: str) -> None:
    result = run("apt-get", *argv, check=False, env={"DEBIAN_FRONTEND": "noninteractive"})
    if result.returncode != 0:
        reasons = [line for line in result.stderr.splitlines() if line.startswith("E:")]
        raise LabError(
            f"the lab needs {what}, and `apt-get {argv[0]}` failed ({'; '.join(reasons) or 'it gave no reason'}): "
            "make a package mirror reachable, or install these packages by hand"
        )
