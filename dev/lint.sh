#!/usr/bin/env bash
# Run every static check, and say at the end which of them failed.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" ANSIBLE_COLLECTIONS_PATH="$PWD/build/tree"

failed=()

check() {
    local name=$1
    shift
    printf '== %s\n' "$name"
    "$@" || failed+=("$name")
}

# Git's and the working tree's files, so that work in progress is checked and generated files are not.
files() { git ls-files -z --cached --others --exclude-standard -- "$@" | xargs -0r ls -d 2>/dev/null; }

typed_packages() {
    local directory
    for directory in plugins tests/unit; do
        [ -z "$(files "$directory/**.py")" ] || echo "-p ansible_collections.duet.backup_ha.${directory//\//.}"
    done
    for directory in dev measure demo bench tests/scenarios tests/faults; do
        [ -z "$(files "$directory/**.py")" ] || echo "-p ${directory//\//.}"
    done
}

types() {
    local -a packages
    read -ra packages -d '' < <(typed_packages; printf '\0')
    [ "${#packages[@]}" = 0 ] || mypy "${packages[@]}"
}

# The lab's scripts import each other by their plain names.
lab_types() { files 'lab/*.py' | MYPYPATH=lab xargs -r mypy; }

sizes() { files '*.py' | xargs -r python dev/sizes.py; }

shell_scripts() { files '*.sh' .ci/run | xargs -r shellcheck; }

documentation() {
    local collection=build/tree/ansible_collections/duet/backup_ha
    (cd "$collection" && antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck --validate-collection-refs self .)
}

check 'ruff check' ruff check --quiet --output-format concise .
check 'ruff format' ruff format --check .
check sizes sizes
check mypy types
check 'mypy lab' lab_types
check yamllint yamllint --strict .
check ansible-lint ansible-lint -q
check shellcheck shell_scripts
check antsibull-changelog antsibull-changelog lint
check antsibull-docs documentation

[ "${#failed[@]}" = 0 ] || { printf 'lint: failed: %s\n' "${failed[*]}" >&2; exit 1; }
echo 'lint: clean'
