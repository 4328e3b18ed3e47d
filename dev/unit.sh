#!/usr/bin/env bash
# Run the unit tests. Arguments are passed on to pytest, e.g. `dev/unit.sh -k lsn`.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d tests/unit ] || { echo 'unit: tests/unit does not exist yet'; exit 0; }
exec .venv/bin/python -m pytest "$@"
