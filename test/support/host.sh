#!/bin/bash
# Sets up new mount and network namespaces as a host, and executes the program that holds them: host.sh PROGRAM...
set -euo pipefail

# Private, so that hosts never share a lock, a state or a log.
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=0755 tmpfs /var
mkdir -p /run/lock /var/lib /var/log /var/spool/cron
mkdir -m 1777 /var/tmp
ln -s /run /var/run

# /etc is a copy, because an overlay in a user namespace cannot change files of the machine's root. Files that an
# ordinary user cannot read (shadow) are left out.
mkdir /var/etc
mount -t tmpfs -o mode=0755 tmpfs /var/etc
cp -a /etc/. /var/etc/ 2>/dev/null || true
rm -rf /var/etc/firewall-drop # the configuration of a developer who uses the program
mount --move /var/etc /etc
rmdir /var/etc

# All other directories are the machine's, read-only. /tmp stays shared, because tests put programs there.
mount --bind /tmp /tmp
mount -o remount,bind,ro /

ip link set lo up
# Without this a new link-local address is unusable for a second.
echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad

cd /
exec "$@"
