"""The nodes' images: made once with mmdebstrap, kept in podman, made again when this recipe changes.

- `blank`       a bare Debian server; what apt-get install will want is in its package cache
- `node`        blank, with the packages of a cluster node installed and nothing running
- `repository`  blank, with the packages of the repository host installed and nothing running
"""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _host import phase, podman, run
from _spec import BUILD

NAME = "localhost/duet-lab"
LABEL = "test.lab.recipe"
SUITE = "bookworm"
SCRIPTS = Path(__file__).resolve().parent / "image"

BLANK = """
    systemd systemd-sysv dbus libpam-systemd openssh-server sudo python3 python3-apt apt-utils ca-certificates
    locales tzdata netbase iproute2 iputils-ping iputils-arping iptables nftables procps psmisc less cron logrotate
    openssl rsync
""".split()
PACKAGES = {
    "node": """
        postgresql python3-psycopg dbconfig-pgsql bacula-director-pgsql bacula-director bacula-console bacula-fd
    """.split(),
    "repository": "bacula-sd bacula-fd bacula-console".split(),
}
# Cached only: tests shift a node's clock with it.
EXTRA = ["faketime"]


def tag(flavour: str) -> str:
    """The image's name in podman, of `blank`, `node` or `repository`."""
    return f"{NAME}:{flavour}"


def recipe() -> str:
    """A digest of everything that an image's content follows from, but the mirror."""
    digest = hashlib.sha256()
    for path in [Path(__file__), *sorted(SCRIPTS.iterdir())]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def build(flavours: list[str]) -> None:
    """Make those images that are missing or of another recipe; `blank` is always among them."""
    with _alone():
        if not _is_current("blank"):
            _build_blank()
        for flavour in flavours:
            if not _is_current(flavour):
                _build_packages(flavour)


def remove() -> None:
    """Remove all images of the lab from podman."""
    for image in podman("image", "ls", "--quiet", "--filter", f"label={LABEL}").split():
        podman("image", "rm", "--force", image, check=False)


@contextmanager
def _alone() -> Iterator[None]:
    """Two labs that start at once build the image once."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / "lab-image.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_current(flavour: str) -> bool:
    found = podman("image", "inspect", "--format", f'{{{{index .Labels "{LABEL}"}}}}', tag(flavour), check=False)
    return found == recipe()


def _build_blank() -> None:
    cached = " ".join(sorted({*EXTRA, *(package for packages in PACKAGES.values() for package in packages)}))
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="lab-image-") as directory:
        tree = Path(directory) / "node.tar"
        with phase(f"image blank: Debian {SUITE} with mmdebstrap (half a minute or more)"):
            run(
                "mmdebstrap",
                "--variant=minbase",
                f"--include={','.join(BLANK)}",
                "--dpkgopt=force-unsafe-io",
                "--skip=cleanup/apt",
                f'--customize-hook=APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" sh {SCRIPTS / "blank.sh"} "$1"',
                SUITE,
                tree,
                env={"CACHED_PACKAGES": cached, "TMPDIR": directory},
            )
        with phase(f"image blank: importing {tree.stat().st_size >> 20} MB"):
            podman("import", "--quiet", "--change", f"LABEL {LABEL}={recipe()}", tree, tag("blank"))


def _build_packages(flavour: str) -> None:
    container = f"duet-lab-build-{flavour}"
    podman("rm", "--force", "--ignore", container)
    script = (SCRIPTS / "packages.sh").read_bytes()
    with phase(f"image {flavour}: installing {' '.join(PACKAGES[flavour])}"):
        command = ["sh", "-s", "--", *PACKAGES[flavour]]
        options = ["--interactive", "--network=none", "--hostname", container, "--name", container]
        podman("run", *options, tag("blank"), *command, data=script)
    with phase(f"image {flavour}: storing"):
        podman("commit", "--quiet", "--change", f"LABEL {LABEL}={recipe()}", container, tag(flavour))
        podman("rm", "--force", container)
