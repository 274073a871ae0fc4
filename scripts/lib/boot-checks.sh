# The checks of scripts/test-boot, run inside its namespaces: boot-checks.sh CHECKOUT STAGE SUITE
set -uo pipefail
checkout=$1
stage=$2
# shellcheck source=scripts/lib/checks.sh
source "$checkout/scripts/lib/checks.sh"
# shellcheck source=scripts/lib/overlay-root.sh
source "$checkout/scripts/lib/overlay-root.sh"

HOST=192.0.2.10
BANNED=203.0.113.9
INNOCENT=198.51.100.9
BRIEF=203.0.113.10

work=$(mktemp -d)
overlay_root "$checkout/dist/systems/$3" "$work"
root=$work/root
for place in proc sys dev; do umount -R "$root/$place"; done

# The network of the attacker and the innocent host: a bridge to which each boot of the container is connected.
ip link set lo up
ip link add br0 type bridge
ip addr add 192.0.2.1/24 dev br0
for address in $BANNED $INNOCENT $BRIEF; do ip addr add "$address/32" dev br0; done
ip link set br0 up

in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }

prepare() {
  install -d -m 0750 "$root/var/ossec/active-response/bin"
  install -d -m 0770 "$root/var/ossec/logs"
  echo "the agent's own" >"$root/var/ossec/active-response/bin/firewall-drop"
  printf '%s\n' '[Match]' 'Name=host0' '[Network]' "Address=$HOST/24" 'Gateway=192.0.2.1' 'LinkLocalAddressing=no' \
    'IPv6AcceptRA=no' >"$root/etc/systemd/network/10-host0.network"
  cp "$stage"/*.deb "$root/root/"
  in_root systemctl enable systemd-networkd >/dev/null 2>&1
  in_root dpkg -i /root/ours.deb
}

# With --keep-unit, systemd-nspawn exits with this status if the container requests a reboot.
WANTS_REBOOT=133
container() {
  local status=$WANTS_REBOOT
  while ((status == WANTS_REBOOT)); do
    systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --network-bridge=br0 \
      --capability=CAP_NET_ADMIN --console=pipe </dev/null >>"$work/console.log" 2>&1 &
    echo $! >"$work/nspawn"
    wait $!
    status=$?
  done
}
boot() { container & }

# Prints the process id of the container's first process, which changes with each boot.
leader() { ps -o pid= --ppid "$(<"$work/nspawn")" | tr -d ' ' | head -n 1; }
inside() {
  local pid
  pid=$(leader)
  [[ -n $pid ]] && nsenter --target "$pid" --mount --uts --ipc --net --pid -- "$@"
}
within() { # SECONDS COMMAND…: repeats the command until it succeeds
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { echo "timeout: $*" && return 1; }
    read -rt 0.2 <> <(:) || true
  done
}
is_up() { [[ $(inside systemctl is-system-running) =~ ^(running|degraded)$ ]]; }
answers() { ping -c 1 -W 1 -I "$1" "$HOST"; }
ignores() { ! ping -c 3 -i 0.2 -W 1 -I "$1" "$HOST" >/dev/null; }
is_in_state() { inside firewall-drop status "$1"; }
agrees() { inside firewall-drop reconcile --dry-run; }
blocked() { [[ $(inside firewall-drop list --plain | wc -l) -ge $1 ]]; }
replies() { grep -c 'bytes from' "$1"; }

check 'the package installs' prepare
boot
check 'the system boots' within 60 is_up
check 'the network is up' within 20 answers "$INNOCENT"
check 'the timer is active' inside systemctl is-active firewall-drop-expire.timer

check 'an address can be banned' inside firewall-drop add "$BANNED" --timeout 1h
check 'an address can be banned until after the reboot' inside firewall-drop add "$BRIEF" --timeout 2m
seq 1 150 | sed 's/^/100.64.0./' >"$root/root/list"
check 'a list can be banned, and goes into sets' inside firewall-drop add --file /root/list --timeout 1h
check 'a banned address gets no answer' ignores "$BANNED"
check 'another address gets an answer' answers "$INNOCENT"

ping -i 0.02 -I "$BANNED" "$HOST" >"$work/banned.log" 2>&1 &
ping -D -i 0.02 -I "$INNOCENT" "$HOST" >"$work/innocent.log" 2>&1 &
before=$(leader)
inside systemctl reboot
rebooted() { [[ -n $(leader) && $(leader) != "$before" ]] && is_up; }
check 'the system reboots' within 60 rebooted
check 'another address gets an answer after the reboot' within 20 answers "$INNOCENT"
# Succeeds if the innocent host had a gap of more than a second between two answers. Packets can also arrive late.
gap() {
  sed -nE 's/^\[([0-9.]+)\] .* bytes from .*/\1/p' "$work/innocent.log" |
    awk 'NR > 1 && $1 - last > 1 { found = 1 } { last = $1 } END { exit !found }'
}
check 'the network was down during the reboot' within 10 gap
check 'the banned address never got an answer' test "$(replies "$work/banned.log")" == 0
check 'the ban is in the state' is_in_state "$BANNED"
check 'state and kernel agree' agrees
check 'the whole list is blocked' blocked 150
check 'restore ran before the network' inside sh -c \
  '[ "$(systemctl show -P ActiveExitTimestampMonotonic firewall-drop-restore)" -le "$(systemctl show -P ActiveEnterTimestampMonotonic network-pre.target)" ] ||
   [ "$(systemctl show -P ExecMainExitTimestampMonotonic firewall-drop-restore)" -le "$(systemctl show -P ActiveEnterTimestampMonotonic network-pre.target)" ]'

check 'the timer alone ends a ban' within 240 answers "$BRIEF"
check 'no run of the timer is in the journal' inside sh -c \
  '! journalctl --no-pager -q -u firewall-drop-expire.service | grep -E "Start|Finish|Deactivat"'

exported=/var/lib/prometheus/node-exporter
check 'the unit of the metrics writes them' inside sh -c \
  "mkdir -p $exported && systemctl start firewall-drop-metrics.service && grep -q '^firewall_drop_bans' $exported/firewall-drop.prom"

# Kill the whole container in the middle of a long list.
seq 1 20000 | awk '{ printf "100.65.%d.%d\n", $1 / 250, $1 % 250 }' >"$root/root/long"
inside firewall-drop add --file /root/long --timeout 1h >/dev/null 2>&1 &
within 20 inside sh -c 'firewall-drop status | grep -q pending'
kill -KILL "$(leader)" "$(<"$work/nspawn")"
# The kernel removes the interface when the namespace has no process left. The next boot makes one with the same name.
is_gone() { [[ -z $(ip -o link show type veth) ]]; }
within 20 is_gone
boot
check 'the system boots after a crash' within 90 is_up
check 'the ban is still in force' ignores "$BANNED"
check 'state and kernel agree' agrees
check 'doctor finds the state intact' inside sh -c 'firewall-drop doctor --json | grep -A3 "\"check\": *\"store\"" | grep -q "\"state\": *\"ok\""'

check 'the package can be upgraded' inside dpkg -i /root/newer.deb
check 'the ban is still in force' ignores "$BANNED"
check 'the timer is still active' inside systemctl is-active firewall-drop-expire.timer
responses=/var/ossec/active-response/bin
inside sh -c "mount --bind $responses $responses && mount -o remount,bind,ro $responses"
check 'removal fails if the file system is read-only' fails inside dpkg -r wazuh-firewall-drop
check 'a failed removal leaves the timer active' inside systemctl is-active firewall-drop-expire.timer
inside umount $responses
check 'the package can be removed' inside dpkg -r wazuh-firewall-drop
check 'no address is blocked after the removal' answers "$BANNED"
check 'the timer is gone' fails inside systemctl is-active firewall-drop-expire.timer
check "the agent's program is back" grep -q "the agent's own" "$root/var/ossec/active-response/bin/firewall-drop"

if ((failed > 0)); then tail -n 40 "$work/console.log"; fi
closing
