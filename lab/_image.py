"""The nodes' images: made once with mmdebstrap, kept in podman, made again when this recipe changes.

- `blank`       a bare Debian server; what apt-get install will want is in its package cache
- `node`        blank, with the packages of a cluster node installed and nothing running
- `repository`  blank, with the packages of the repository host installed and nothing running
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _host import phase, podman, run
from _spec import BUILD, LabError

NAME = "localhost/duet-lab"
LABEL = "test.lab.recipe"
SUITE = "bookworm"
SCRIPTS = Path(__file__).resolve().parent / "image"

# Without libpam-systemd: under cgroup v1 a container's systemd misses the end of a user's manager.
BLANK = (
    "systemd systemd-sysv dbus openssh-server sudo python3 python3-apt apt-utils ca-certificates "
    "locales tzdata netbase iproute2 iputils-ping iputils-arping iptables nftables procps psmisc less cron "
    "logrotate openssl rsync"
)
PACKAGES = {
    "node": (
        "postgresql python3-psycopg dbconfig-pgsql bacula-director-pgsql bacula-director bacula-console bacula-fd"
    ),
    "repository": "bacula-sd bacula-fd bacula-console",
}
# Cached only: tests shift a node's clock with it.
EXTRA = "faketime"


def tag(flavour: str) -> str:
    """The image's name in podman, of `blank`, `node` or `repository`."""
    return f"{NAME}:{flavour}"


def recipe() -> str:
    """A digest of everything that an image's content follows from, but the mirror."""
    digest = hashlib.sha256(repr((SUITE, BLANK, PACKAGES, EXTRA)).encode())
    for script in ("blank.sh", "packages.sh"):
        digest.update((SCRIPTS / script).read_bytes())
    return digest.hexdigest()[:16]


def build(flavours: list[str]) -> None:
    """Make those images that are missing or of another recipe; `blank` is always among them."""
    with _alone():
        if not _is_current("blank"):
            _build_blank()
        for flavour in flavours:
            if not _is_current(flavour):
                _build_packages(flavour)
        # What an older recipe made, unless a node still runs on it.
        podman("image", "prune", "--force", "--filter", f"label={LABEL}", check=False)


def remove() -> None:
    """Remove the lab's images from podman, but those that another lab runs on."""
    for _ in ("the images made of blank", "blank"):
        images = podman("image", "ls", "--quiet", "--filter", f"label={LABEL}").split()
        podman("image", "rm", "--ignore", *images, check=False)


@contextmanager
def _alone() -> Iterator[None]:
    """Two labs that start at once build the image once."""
    directory = os.open(SCRIPTS, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _is_current(flavour: str) -> bool:
    label = f'{{{{index .Labels "{LABEL}"}}}}'
    return podman("image", "inspect", "--format", label, tag(flavour), check=False) == recipe()


def _build_blank() -> None:
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="lab-image-") as directory:
        tree = Path(directory) / "node.tar"
        with phase(f"image blank: Debian {SUITE} with mmdebstrap (half a minute or more)"):
            _make_tree(tree)
        with phase(f"image blank: importing {tree.stat().st_size >> 20} MB"):
            podman("import", "--quiet", "--change", f"LABEL {LABEL}={recipe()}", tree, tag("blank"))


def _make_tree(tree: Path) -> None:
    cached = " ".join([*PACKAGES.values(), EXTRA])
    hook = f'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" sh {SCRIPTS / "blank.sh"} "$1"'
    made = run(
        # A mount namespace of its own: however the build ends, none of its mounts stays in build/.
        *("unshare", "--mount", "mmdebstrap", "--variant=minbase", f"--include={BLANK.replace(' ', ',')}"),
        *("--dpkgopt=force-unsafe-io", "--skip=cleanup/apt", f"--customize-hook={hook}", SUITE, tree),
        env={"CACHED_PACKAGES": cached, "TMPDIR": str(tree.parent)},
        check=False,
    )
    if made.returncode != 0:
        reasons = [line for line in made.stderr.splitlines() if line.startswith("E:")]
        raise LabError(
            f"mmdebstrap could not make the image ({reasons[0] if reasons else made.stderr[-500:]}); it needs the "
            f"Debian mirror deb.debian.org with {SUITE}: make it reachable and try again"
        )


def _build_packages(flavour: str) -> None:
    container = f"duet-lab-build-{flavour}"
    podman("rm", "--force", "--ignore", container)
    script = (SCRIPTS / "packages.sh").read_bytes()
    with phase(f"image {flavour}: installing {PACKAGES[flavour]}"):
        command = ["sh", "-s", "--", *PACKAGES[flavour].split()]
        options = ["--interactive", "--network=none", "--hostname", container, "--name", container]
        podman("run", *options, tag("blank"), *command, data=script)
    with phase(f"image {flavour}: storing"):
        podman("commit", "--quiet", "--change", f"LABEL {LABEL}={recipe()}", container, tag(flavour))
        podman("rm", "--force", container)
