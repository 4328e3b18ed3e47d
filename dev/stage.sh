#!/usr/bin/env bash
# Lay the repository out as an installed collection, under build/.
#
#   stage.sh link   build/tree/ansible_collections/duet/backup_ha, a symbolic link to the repository
#   stage.sh copy   build/copy/ansible_collections/duet/backup_ha, for ansible-test, which refuses a link
set -euo pipefail
cd "$(dirname "$0")/.."

# What is no part of a collection, and so none of ansible-test's business.
apart=(.ci bench demo dev lab measure molecule tests/faults tests/scenarios tests/unit/{bench,demo,faults,lab,measure})

link() {
    mkdir -p build/tree/ansible_collections/duet
    ln -sfn ../../../.. build/tree/ansible_collections/duet/backup_ha
}

# Git's files and new ones that it does not ignore, so that work in progress is checked too.
# ansible-test keeps its virtual environment in tests/output; that stays from run to run.
copy() {
    local target=build/copy/ansible_collections/duet/backup_ha
    mkdir -p "$target/tests"
    find "$target" -mindepth 1 -maxdepth 1 ! -name .git ! -name tests -exec rm -rf {} +
    find "$target/tests" -mindepth 1 -maxdepth 1 ! -name output -exec rm -rf {} +
    git ls-files -z --cached --others --exclude-standard -- . "${apart[@]/#/:!}" |
        tar --create --null --files-from=- --ignore-failed-read --warning=no-failed-read |
        tar --extract --directory="$target"
    # Without a repository of its own git would tell ansible-test that all of build/ is ignored.
    [ -d "$target/.git" ] || git init --quiet "$target"
}

case "${1:-}" in
    link) link ;;
    copy) copy ;;
    *) echo "usage: $0 link|copy" >&2; exit 2 ;;
esac
