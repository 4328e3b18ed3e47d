"""Break everything at every step, on two labs of their own, and write docs/faults.md: `run.py --help`."""

from __future__ import annotations

import argparse
import ipaddress
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults import matrix
from tests.scenarios.run import BUILD, NOTHING_SELECTED, ROOT, Worker, conclude, remove_labs

FOLDER = Path(__file__).resolve().parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("-k", dest="expression", help="only rows that match, as for pytest")
    parser.add_argument("--name", default="fault", help="the labs' name; 1 and 2 are appended (%(default)s)")
    parser.add_argument(
        "--subnet", default="198.18.84.0/24", help="the first lab's; the next one follows (%(default)s)"
    )
    parser.add_argument("--labs", type=int, default=2, help="how many labs share the work (%(default)s)")
    parser.add_argument(
        "--again", action="store_true", help="repeat the rows that earlier runs have found in this very product"
    )
    return parser.parse_args()


def main() -> int:
    options = arguments()
    BUILD.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    subprocess.run([sys.executable, str(ROOT / "lab/lab.py"), "image"], stdin=subprocess.DEVNULL, check=True)
    first = ipaddress.IPv4Network(options.subnet)
    subnets = [
        ipaddress.IPv4Network((int(first.network_address) + number * first.num_addresses, first.prefixlen))
        for number in range(options.labs)
    ]
    files = [str(path) for path in sorted(FOLDER.glob("test_*.py"))]
    workers = [Worker(f"{options.name}{number}", subnet, files) for number, subnet in enumerate(subnets, 1)]
    if options.again:
        shutil.rmtree(matrix.ROWS, ignore_errors=True)
    matrix.forget_others()
    selection = ["-k", options.expression] if options.expression else []
    threads = [
        threading.Thread(
            target=worker.run,
            args=(["--share", f"{number}/{options.labs}", *selection],),
            daemon=True,
        )
        for number, worker in enumerate(workers, 1)
    ]
    remove_labs(workers)  # what an interrupted run has left
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for worker in workers:
            worker.stop()
        remove_labs(workers)
    nothing_left = all(worker.code == NOTHING_SELECTED for worker in workers)
    code = 0 if nothing_left else conclude(workers, time.monotonic() - began)
    matrix.PAGE.write_text(matrix.page(matrix.read_rows(), every_test(files)), encoding="utf-8")
    print(f"faults: {matrix.PAGE}")
    return code


def every_test(files: list[str]) -> list[str]:
    """The names of all rows, whether there is something to be run or not."""
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q"]
    listed = subprocess.run([*collect, *files], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [matrix.short_name(line) for line in listed.splitlines() if "::" in line]


if __name__ == "__main__":
    sys.exit(main())
