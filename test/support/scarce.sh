#!/bin/bash
# Runs an add under each of several ulimits: scarce.sh BINARY MESSAGE ulimit-OPTION LIMIT...
# Must run in its own network and mount namespaces. Prints LIMIT STATUS RULES for each limit.
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
  # In a subshell, because a lowered limit cannot be raised again.
  (ulimit "$option" "$limit" && exec active-response/bin/firewall-drop) \
    <<<"$message" >/dev/null 2>&1 || status=$?
  echo "$limit $status $(iptables -S | grep -c -- '-j DROP' || true)"
  iptables -F
  rm -rf /var/lib/firewall-drop /run/firewall-drop
done
