#!/bin/bash
# Runs an add under limits of the shell's ulimit, each in turn: scarce.sh BINARY MESSAGE ulimit-OPTION LIMIT...
# For network and mount namespaces of its own. Prints for each limit: LIMIT STATUS RULES.
set -euo pipefail
binary=$1 message=$2 option=$3
shift 3
home=/var/ossec

mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var
mkdir -p /run/lock /var/lib $home/{logs,etc/shared,active-response/bin}
ln -s "$binary" $home/active-response/bin/firewall-drop
cd $home

for limit; do
  status=0
  # A shell of its own: a limit that was lowered can't be raised again.
  (ulimit "$option" "$limit" && exec active-response/bin/firewall-drop) \
    <<<"$message" >/dev/null 2>&1 || status=$?
  echo "$limit $status $(iptables -S | grep -c -- '-j DROP' || true)"
  iptables -F
  rm -rf /var/lib/firewall-drop /run/firewall-drop
done
