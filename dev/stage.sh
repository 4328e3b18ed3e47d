#!/usr/bin/env bash
# Lay the repository out as an installed collection, under build/.
#
#   stage.sh link   build/tree/ansible_collections/duet/backup_ha, a symbolic link to the repository
#   stage.sh copy   build/copy/ansible_collections/duet/backup_ha, for ansible-test, which refuses a link
set -euo pipefail
cd "$(dirname "$0")/.."

link() {
    mkdir -p build/tree/ansible_collections/duet
    ln -sfn ../../../.. build/tree/ansible_collections/duet/backup_ha
}

case "${1:-}" in
    link) link ;;
    *) echo "usage: $0 link|copy" >&2; exit 2 ;;
esac
