# shellcheck shell=sh
# Install packages on a blank server and leave it blank: no PostgreSQL cluster, nothing enabled, nothing running.
# Runs inside a container of the blank image, without a network.
#   $@  packages
set -eu
export DEBIAN_FRONTEND=noninteractive

deny=/usr/sbin/policy-rc.d
printf '#!/bin/sh\nexit 101\n' > $deny
chmod 755 $deny
mkdir -p /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/lab.conf
# Package scripts must not look for a database: there is none.
for answer in dbconfig-install dbconfig-upgrade dbconfig-remove; do
    echo "bacula-director-pgsql bacula-director-pgsql/$answer boolean false"
done | debconf-set-selections

apt-get install --yes --no-download "$@"

# The two snippets were for this build only. dbconfig's answers stay as a real server would have them.
rm $deny /etc/postgresql-common/createcluster.d/lab.conf
for unit in bacula-director bacula-fd bacula-sd postgresql exim4 sysstat; do
    systemctl disable "$unit" 2>/dev/null || true
done
# Tests run at any hour, and a job of the packages' schedule would stand in the way of their switchovers.
if [ -f /etc/bacula/bacula-dir.conf ]; then
    sed -i 's/^\( *\)Schedule = /\1# Schedule = /' /etc/bacula/bacula-dir.conf
fi
hostname > /etc/lab-built-as
