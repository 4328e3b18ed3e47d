#!/usr/bin/env bash
# Create .venv from dev/requirements.txt, and install what that takes from Debian.
# Starts from nothing but Python 3.11 or newer; does nothing when .venv is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# The interpreter that .venv was made with, else the system's: one that a version manager put in front may go away.
find_python() {
    local candidate candidates=(.venv/bin/python /usr/bin/python3 python3.11 python3.12 python3.13)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        "$candidate" -c 'import os, sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13): sys.exit(1)
print(os.path.realpath(sys._base_executable))' 2>/dev/null && return
    done
    die "none of these is a Python from 3.11 to 3.13: ${candidates[*]}; name one: make setup PYTHON=/path/to/python3.11"
}

apt_install() {
    [ "$(id -u)" = 0 ] || die "needs the Debian packages: $*; run as root: apt-get install $*"
    command -v apt-get >/dev/null || die "needs $*, and this machine has no apt-get to install it"
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    # A machine whose package lists are fresh enough need not fetch them again.
    apt-get install -qq -y --no-install-recommends "$@" >build/apt.log 2>&1 ||
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends "$@"; } >build/apt.log 2>&1 ||
        { cat build/apt.log >&2; die "could not install $*"; }
}

debian_packages() {
    local missing=()
    "$python" -c 'import ensurepip' 2>/dev/null || missing+=("$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
    command -v ssh >/dev/null || missing+=(openssh-client)
    command -v shellcheck >/dev/null || missing+=(shellcheck)
    [ "${#missing[@]}" = 0 ] || apt_install "${missing[@]}"
}

# A virtual environment holds its own path and its interpreter's, so both belong to what it is made from.
wanted_stamp() {
    { "$python" -VV; echo "$python $PWD"; cat requirements.txt dev/requirements.txt; } | sha256sum
}

create_venv() {
    say "creating .venv with $("$python" -V) (a minute or two)"
    rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/python -m pip install -qq --disable-pip-version-check -r dev/requirements.txt
    wanted_stamp >.venv/stamp
}

mkdir -p build
exec 9>build/setup.lock
flock 9
python=$(find_python)
debian_packages
[ "$(cat .venv/stamp 2>/dev/null)" = "$(wanted_stamp)" ] || create_venv
dev/stage.sh link
