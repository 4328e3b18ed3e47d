# shellcheck shell=sh
# Give a node made from a packages image what the packages' scripts would have made on it:
# its own Bacula names and passwords, its own certificate. Two real servers never share these.
set -eu
test -f /etc/lab-built-as || exit 0
built_as=$(cat /etc/lab-built-as)

if [ -f /etc/bacula/common_default_passwords ]; then
    files=$(find /etc/bacula /etc/default -type f -name '*bacula*' -o -path '/etc/bacula/*' -type f)
    grep -o '=.*' /etc/bacula/common_default_passwords | tr -d '= "' | while read -r old; do
        test -n "$old" || continue
        new=$(head -c 64 /dev/urandom | base64 -w0 | tr -dc A-Za-z0-9 | head -c 33)
        # shellcheck disable=SC2086  # a list of paths without blanks
        sed -i "s|$old|$new|g" $files
    done
    # shellcheck disable=SC2086
    sed -i "s|$built_as|$(hostname)|g" $files
fi
if command -v make-ssl-cert > /dev/null; then
    make-ssl-cert generate-default-snakeoil --force-overwrite
fi
rm /etc/lab-built-as
