"""Make the tree that the lab backs up: `make_tree.py FOLDER`. Always the same files, about a second of work.

Sizes, names and depths are mixed as in a real home folder: empty files, odd names, links, one large file.
MANIFEST is written last, so its presence says that the tree is complete.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from pathlib import Path

FILES = 1500
BYTES = 220_000_000
LARGEST = 24_000_000
ODD_NAMES = ["with blank.txt", "naïve café.txt", "quote'\".txt", "back\\slash", "-dash", "trailing ", "日本.txt"]


def sizes(generator: random.Random) -> list[int]:
    """FILES sizes in bytes that sum to BYTES: most files small, few large, some empty."""
    weights = [0.0 if n % 50 == 0 else generator.lognormvariate(0, 1.6) for n in range(FILES - 1)]
    scale = (BYTES - LARGEST) / sum(weights)
    rest = [int(weight * scale) for weight in weights]
    return [BYTES - sum(rest), *rest]


def main(root: Path) -> None:
    generator = random.Random(20260)
    noise = generator.randbytes(32_000_000)
    manifest = []
    for number, size in enumerate(sizes(generator)):
        name = ODD_NAMES[number] if number < len(ODD_NAMES) else f"file-{number:04}.dat"
        path = root / f"dir-{number % 25:02}" / f"sub-{number % 7}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        start = generator.randrange(len(noise) - size) if size < len(noise) else 0
        # The number makes each content unique, however the pieces of noise overlap.
        content = (number.to_bytes(4, "big") + noise[start : start + size])[:size]
        path.write_bytes(content)
        path.chmod(0o600 if number % 10 == 0 else 0o644)
        manifest.append(f"{hashlib.md5(content).hexdigest()}  {size}  {path.relative_to(root)}\n")
    (root / "dir-00" / "link").symlink_to("sub-0")
    os.link(root / "dir-10/sub-3/file-0010.dat", root / "dir-10/hard link")
    (root / "MANIFEST").write_text("".join(manifest), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
