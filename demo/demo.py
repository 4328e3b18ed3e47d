"""From a bare machine to a running cluster, with a backup, a switchover and a restore: `demo.py --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from demo.story import Story
from measure.playbook import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    parser.add_argument("--name", default="duet", help="the lab's name (%(default)s); it is made anew")
    parser.add_argument("--subnet", default="198.18.0.0/24", help="the lab's subnet (%(default)s)")
    parser.add_argument("--remove", action="store_true", help="remove the lab afterwards; else it stays up")
    options = parser.parse_args()
    return Story(options.name, options.subnet, ROOT / "build" / "demo").tell(remove=options.remove)


if __name__ == "__main__":
    raise SystemExit(main())
