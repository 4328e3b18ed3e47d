#!/usr/bin/env bash
# Run `ansible-test sanity` on a copy of the tree. Arguments are passed on, e.g. `dev/sanity.sh --test pylint`.
# Everything that ansible-test keeps lies in build/: the first run takes minutes, later ones seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
exec 9>build/sanity.lock
flock 9

python_version=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
interpreter=$(.venv/bin/python -c 'import sys, os; print(os.path.realpath(sys.executable))')

home=$top/build/ansible-test
mkdir -p "$home/bin" "$home/.ansible/test/cache" "$home/.config"
# Real interpreters first on PATH: ansible-test cannot work with a version manager's shims.
ln -sfn "$interpreter" "$home/bin/python$python_version"
# The names under which ansible-core 2.18-2.19 and 2.20-2.21 look for the script.
for pip_version in 24_2 25_2; do
    ln -sfn "$top/dev/get_pip.py" "$home/.ansible/test/cache/get_pip_$pip_version.py"
done
# ansible-test drops PIP_* variables, but pip still reads the user's configuration.
for settings in .config/pip .pip; do
    [ ! -d "$HOME/$settings" ] || ln -sfn "$HOME/$settings" "$home/$settings"
done

dev/stage.sh copy
cd build/copy/ansible_collections/duet/backup_ha
export HOME=$home PATH="$home/bin:$top/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
exec ansible-test sanity --venv --python "$python_version" --color no "$@" </dev/null
