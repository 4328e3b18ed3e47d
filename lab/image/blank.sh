# shellcheck shell=sh
# Turn a fresh bookworm tree into a blank server. Called by mmdebstrap as a customize hook.
#   $1               the tree
#   $CACHED_PACKAGES what apt-get install must find without a download
#   $APT_CONFIG      mmdebstrap's, so that the host's apt works on the tree
set -eu
root=$1

# apt-get install in a node: no download for the cached packages, and no fsync for each file unpacked.
rm -f "$root"/var/cache/apt/archives/*.deb
# shellcheck disable=SC2086  # a list of words
apt-get install --yes --download-only --option APT::Install-Recommends=true $CACHED_PACKAGES
echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/lab"

sed -i 's/^# *en_US.UTF-8 /en_US.UTF-8 /' "$root/etc/locale.gen"
chroot "$root" locale-gen
echo LANG=en_US.UTF-8 > "$root/etc/default/locale"
echo Etc/UTC > "$root/etc/timezone"

# Every node gets host keys, machine id, hosts file and login key of its own when it is made.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hosts" "$root/etc/hostname"
: > "$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id"

# No console, kernel or hardware clock in a container; no downloads behind a test's back.
chroot "$root" systemctl mask getty.target console-getty.service systemd-logind-varlink.socket \
    systemd-udevd.service systemd-modules-load.service apt-daily.timer apt-daily-upgrade.timer
chroot "$root" systemctl set-default multi-user.target
