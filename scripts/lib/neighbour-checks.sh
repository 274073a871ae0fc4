# The checks of scripts/test-neighbours, run inside its root beside one other firewall program (the neighbour): blocks
# last, releases take effect, the neighbour's rules stay unchanged, and `status` names the rule that decides if it can
# be known.
set -uo pipefail
source /run/ours/checks.sh

NAME=$1
HOST=203.0.113.1
OFFENDER=203.0.113.7
BYSTANDER=203.0.113.8
PORT=80
BACKENDS=(iptables ipset nftables)
HOME_OF_AGENT=/var/ossec

is() { [[ $1 == "$2" ]] || { printf 'found %s, expected %s\n' "$1" "$2"; return 1; }; }

# Waits up to a minute for a command to succeed.
eventually() {
  local end=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { echo "timeout: $*"; return 1; }
    sleep 0.1
  done
}

# The attacker is in another network namespace.
lay_out() {
  mkdir -p /run/netns /run/lock "$HOME_OF_AGENT/active-response/bin" "$HOME_OF_AGENT/logs" "$HOME_OF_AGENT/etc/shared" /etc/firewall-drop
  ln -s /run/ours/firewall-drop "$HOME_OF_AGENT/active-response/bin/firewall-drop"
  ip link set lo up
  ip netns add attacker
  plug_in
}
plug_in() {
  ip link add cable type veth peer name cable netns attacker
  ip address add "$HOST/24" dev cable
  ip link set cable up
  ip -n attacker link set lo up
  ip -n attacker address add "$OFFENDER/24" dev cable
  ip -n attacker address add "$BYSTANDER/24" dev cable
  ip -n attacker link set cable up
}

ours() { "$HOME_OF_AGENT/active-response/bin/firewall-drop" "$@"; }
use() {
  printf '[firewall]\nbackend = "%s"\n' "$1" >/etc/firewall-drop/config.toml
  ours expire
}
serve() { busybox httpd -p "$1" -h /tmp; }

reaches() { ip netns exec attacker nc -z -w 3 -s "$1" "$HOST" "${2:-$PORT}"; }
is_cut_off() { fails reaches "$OFFENDER" "$@" && eventually reaches "$BYSTANDER" "$@"; }
is_served() { eventually reaches "$OFFENDER" "$@" && eventually reaches "$BYSTANDER" "$@"; }

# Prints the whole ruleset without our rules, without counters and without empty tables.
theirs() {
  { iptables-save; ip6tables-save; ipset save; nft list ruleset | sed -E '/^table ip6? (filter|nat|raw|mangle|security) /,/^}/d'; } 2>/dev/null | sed -E \
    -e 's/\[[0-9]+:[0-9]+\]//; s/counter packets [0-9]+ bytes [0-9]+/counter/; s/ (expires|timeout) [0-9a-z]+//g; /^#/d' \
    -e '/firewall-drop-[46]/d; /-s 203\.0\.113\.7\/32 -j DROP$/d' \
    -e '/match-set firewall-drop/d; /^table inet firewall_drop \{/,/^\}/d; /^$/d' |
    awk '/^\*(raw|filter)$/ { head = $0; body = ""; open = 1; next }
      open && /^:[A-Z]+ ACCEPT/ { body = body $0 "\n"; next }
      open && /^COMMIT/ { open = 0; next }
      open { printf "%s\n%s", head, body; open = 0 }
      { print }'
}
# Checks that `status` names the chain (or, with sets, the table) whose rule decides.
names_rule() {
  local said
  said=$(ours status "$OFFENDER")
  echo "$said"
  [[ $said == *"$1"* ]]
}
chain_of() {
  case $1 in
    iptables) echo '(INPUT: ' ;;
    ipset) echo '(raw PREROUTING: ' ;;
    nftables) echo '(inet firewall_drop prerouting: ' ;;
  esac
}
# Succeeds if the neighbour's own rules or sets contain the offender.
is_theirs() { theirs | grep -F "$OFFENDER"; }
is_as_before() { diff <(echo "$before") <(theirs); }

# blocks BACKEND [PORT]: adds the offender, and checks that it is cut off.
blocks() {
  before=$(theirs)
  check "$1: add succeeds" ours add "$OFFENDER"
  check "$1: the offender is cut off, a bystander is not" is_cut_off "${@:2}"
  check "$1: status names our rule" names_rule "$(chain_of "$1")"
}
# releases BACKEND [PORT]: deletes the offender, and checks that it is served and the neighbour's rules are unchanged.
releases() {
  check "$1: delete succeeds" ours delete "$OFFENDER"
  check "$1: the offender is served" is_served "${@:2}"
  check "$1: the neighbour's rules are unchanged" is_as_before
}
# Removes everything of firewall-drop.
leave() { ours flush --yes >/dev/null; }
version_of() { dpkg-query --show --showformat '${Package} ${Version}\n' "$@" | tr '\n' ',' | sed 's/,$/\n/; s/,/, /g'; }

image() { mkdir -p /tmp/image/bin && cp /bin/busybox /tmp/image/bin/ && tar -C /tmp/image -c .; }

beside_docker() {
  export DOCKER_RAMDISK=true # runc cannot use pivot_root inside this root
  dockerd --storage-driver vfs --exec-root /run/docker >/tmp/dockerd.log 2>&1 &
  eventually docker info || { cat /tmp/dockerd.log; return 1; }
  image | docker import - box >/dev/null
  docker run --detach --name web --publish "$PORT:80" box /bin/busybox httpd -f -p 80 >/dev/null || return
  check 'the published port is served' is_served
  local backend
  for backend in "${BACKENDS[@]}"; do
    use "$backend"
    blocks "$backend"
    docker restart --time 1 web >/dev/null
    check "$backend: the offender is cut off after a restart of the container" is_cut_off
    releases "$backend"
    leave
  done
  for backend in "${BACKENDS[@]}"; do
    use "$backend"
    ours add "$OFFENDER" >/dev/null
    docker rm --force web >/dev/null
    kill "$(cat /run/docker.pid)"
    eventually fails test -e /run/docker.pid
    dockerd --storage-driver vfs --exec-root /run/docker >/tmp/dockerd.log 2>&1 &
    eventually docker info
    docker run --detach --name web --publish "$PORT:80" box /bin/busybox httpd -f -p 80 >/dev/null
    check "$backend: the offender is cut off after a restart of dockerd" is_cut_off
    check "$backend: delete succeeds" ours delete "$OFFENDER"
    check "$backend: the offender is served" is_served
    leave
  done
}

beside_podman() {
  mkdir -p /etc/containers
  printf '[network]\nnetwork_backend = "netavark"\n[engine]\nevents_logger = "file"\ncgroup_manager = "cgroupfs"\nruntime = "runc"\nno_pivot_root = true\n' >/etc/containers/containers.conf
  local podman=(podman --storage-driver vfs)
  image | "${podman[@]}" import - box >/dev/null
  web() { "${podman[@]}" run --detach --name web --publish "$PORT:80" box /bin/busybox httpd -f -p 80 >/dev/null; }
  web || return
  check 'the published port is served' is_served
  local backend
  for backend in "${BACKENDS[@]}"; do
    use "$backend"
    blocks "$backend"
    releases "$backend"
    ours add "$OFFENDER" >/dev/null
    "${podman[@]}" rm --force --time 1 web >/dev/null
    web
    check "$backend: the offender is cut off from a container made after the block" is_cut_off
    ours delete "$OFFENDER" >/dev/null
    check "$backend: the offender is served after the delete" is_served
    leave
  done
}

beside_firewalld() {
  mkdir -p /run/dbus
  dbus-daemon --system --fork
  serve "$PORT"
  local theirs_backend backend
  for theirs_backend in nftables iptables; do
    sed -i "s/^FirewallBackend=.*/FirewallBackend=$theirs_backend/" /etc/firewalld/firewalld.conf
    firewalld --nofork --nopid >/tmp/firewalld.log 2>&1 &
    local daemon=$!
    eventually firewall-cmd --state
    firewall-cmd --quiet --permanent --add-port="$PORT/tcp"
    firewall-cmd --quiet --reload
    echo "  firewalld with $theirs_backend:"
    for backend in "${BACKENDS[@]}"; do
      use "$backend"
      blocks "$backend"
      firewall-cmd --quiet --add-port=8081/tcp
      check "$backend: the offender is cut off after a runtime change of firewalld" is_cut_off
      firewall-cmd --quiet --reload
      if [[ $backend == nftables ]]; then
        check "$backend: the offender is cut off after a reload" is_cut_off
      else
        check "$backend: a reload lets the offender in" is_served
        check "$backend: reconcile --dry-run reports it" fails ours reconcile --dry-run
        check "$backend: restore succeeds" ours restore
        check "$backend: the offender is cut off after restore" is_cut_off
      fi
      releases "$backend"
      leave
    done
    kill "$daemon"
    wait "$daemon"
  done
}

beside_ufw() {
  serve "$PORT"
  ufw allow "$PORT/tcp" >/dev/null
  ufw --force enable >/dev/null
  local backend
  for backend in "${BACKENDS[@]}"; do
    use "$backend"
    blocks "$backend"
    ufw reload >/dev/null
    check "$backend: the offender is cut off after ufw reload" is_cut_off
    ufw disable >/dev/null
    check "$backend: the offender is cut off after ufw disable" is_cut_off
    ufw --force enable >/dev/null
    check "$backend: the offender is cut off after ufw enable" is_cut_off
    releases "$backend"
    leave
  done
  sed -i 's/^MANAGE_BUILTINS=.*/MANAGE_BUILTINS=yes/' /etc/default/ufw
  for backend in "${BACKENDS[@]}"; do
    use "$backend"
    ours add "$OFFENDER" >/dev/null
    ufw reload >/dev/null
    if [[ $backend == iptables ]]; then
      check "$backend: a reload with MANAGE_BUILTINS=yes lets the offender in" is_served
    else
      check "$backend: the offender is cut off after a reload with MANAGE_BUILTINS=yes" is_cut_off
    fi
    leave
  done
}

beside_fail2ban() {
  serve "$PORT"
  local action backend
  mkdir -p /run/fail2ban
  touch /tmp/web.log
  for action in iptables-multiport nftables; do
    printf '[DEFAULT]\nbackend = polling\n[web]\nenabled = true\nfilter = sshd\nlogpath = /tmp/web.log\nport = %s\nbanaction = %s\n[sshd]\nenabled = false\n' \
      "$PORT" "$action" >/etc/fail2ban/jail.local
    fail2ban-server -f --loglevel WARNING --logtarget /tmp/fail2ban.log >/dev/null 2>&1 &
    local daemon=$!
    eventually fail2ban-client status web || cat /tmp/fail2ban.log
    echo "  fail2ban with $action:"
    for backend in "${BACKENDS[@]}"; do
      use "$backend"
      fail2ban-client set web banip "$OFFENDER" >/dev/null
      check "$backend: fail2ban blocks" eventually is_theirs
      blocks "$backend"
      check "$backend: delete succeeds" ours delete "$OFFENDER"
      check "$backend: fail2ban still cuts the offender off after our delete" is_cut_off
      check "$backend: fail2ban's rules are unchanged" is_as_before
      # The verdict reads only rules of iptables, and the nftables backend does not read these either.
      if [[ $action == iptables* && $backend != nftables ]]; then
        check "$backend: status names fail2ban's rule" names_rule f2b-
      fi
      ours add "$OFFENDER" >/dev/null
      fail2ban-client set web unbanip "$OFFENDER" >/dev/null
      check "$backend: fail2ban unblocks" eventually fails is_theirs
      check "$backend: firewall-drop still cuts the offender off after fail2ban's unban" is_cut_off
      check "$backend: delete succeeds" ours delete "$OFFENDER"
      check "$backend: the offender is served after both releases" is_served
      leave
    done
    fail2ban-client stop >/dev/null
    wait "$daemon"
  done
}

beside_crowdsec() {
  serve "$PORT"
  printf 'api:\n  server:\n    online_client:\n' >/etc/crowdsec/config.yaml.local
  sed -i '/online_client:/,/credentials_path/d' /etc/crowdsec/config.yaml
  crowdsec -no-cs >/tmp/crowdsec.log 2>&1 &
  eventually cscli lapi status || cat /tmp/crowdsec.log
  local key mode backend
  key=$(cscli bouncers add checks --output raw)
  for mode in iptables nftables; do
    sed -e "s/\${BACKEND}/$mode/; s/\${API_KEY}/$key/; s/^update_frequency:.*/update_frequency: 1s/; s/^daemonize:.*/daemonize: false/; s/^log_mode:.*/log_mode: stdout/" \
      /etc/crowdsec/bouncers/crowdsec-firewall-bouncer.yaml >/tmp/bouncer.yaml
    crowdsec-firewall-bouncer -c /tmp/bouncer.yaml >/tmp/bouncer.log 2>&1 &
    local daemon=$!
    echo "  crowdsec-firewall-bouncer with $mode:"
    for backend in "${BACKENDS[@]}"; do
      use "$backend"
      cscli decisions add --ip "$OFFENDER" --duration 1h >/dev/null 2>&1
      check "$backend: the bouncer blocks" eventually is_theirs
      blocks "$backend"
      check "$backend: delete succeeds" ours delete "$OFFENDER"
      check "$backend: the bouncer still cuts the offender off after our delete" is_cut_off
      check "$backend: the bouncer's rules are unchanged" is_as_before
      ours add "$OFFENDER" >/dev/null
      cscli decisions delete --ip "$OFFENDER" >/dev/null 2>&1
      check "$backend: the bouncer unblocks" eventually fails is_theirs
      check "$backend: firewall-drop still cuts the offender off after the bouncer's release" is_cut_off
      check "$backend: delete succeeds" ours delete "$OFFENDER"
      check "$backend: the offender is served after both releases" is_served
      leave
    done
    kill "$daemon"
    wait "$daemon"
  done
}

# A new network namespace with another boot id stands for a boot: it has no rules.
beside_persistent() {
  dpkg --purge ufw >/dev/null 2>&1
  dpkg --install /var/cache/later/*.deb >/dev/null 2>&1
  local backend
  for backend in "${BACKENDS[@]}"; do
    rm -f /etc/iptables/*
    use "$backend"
    iptables -A INPUT -p tcp --dport 9 -j DROP
    ours add "$OFFENDER" >/dev/null
    netfilter-persistent save >/dev/null 2>&1
    check "$backend: doctor reports our rules in the saved files" says_saved "$backend"
    cat /proc/sys/kernel/random/uuid >/run/boot_id
    mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
    unshare --net bash /run/ours/neighbour-checks.sh after-boot "$backend" || failed=$((failed + 1))
    umount /proc/sys/kernel/random/boot_id
    # The bans ended in the other namespace, so firewall-drop does not remove the rules in this one.
    iptables -F
    iptables -t raw -F
    nft flush ruleset
    ipset destroy
  done
}
says_saved() {
  local line
  line=$(ours doctor | grep 'saved rules')
  echo "$line"
  case $1 in
    iptables) [[ $line == *'of our form'* ]] ;;
    ipset) [[ $line == *'refers to our sets'* || $line == *'no saved file contains our rules'* ]] ;;
    nftables) [[ $line == *'no saved file contains our rules'* ]] ;;
  esac
}

# Loads the rules in the order of a boot: the saved rules first, then ours.
after_boot() {
  local backend=$1
  ip netns delete attacker
  ip link set lo up
  ip netns add attacker
  plug_in
  serve "$PORT"
  check "$backend: netfilter-persistent start succeeds" netfilter-persistent start
  check "$backend: the saved rule is back" iptables -C INPUT -p tcp --dport 9 -j DROP
  check "$backend: restore succeeds" ours restore
  check "$backend: the offender is cut off after the boot" is_cut_off
  check "$backend: state and kernel agree" ours reconcile --dry-run
  check "$backend: delete succeeds" ours delete "$OFFENDER"
  check "$backend: the offender is served after the delete" is_served
  closing
}

if [[ $NAME == after-boot ]]; then
  after_boot "$2"
  exit
fi
lay_out
case $NAME in
  docker) version_of docker.io ;;
  podman) version_of podman netavark ;;
  persistent) echo 'netfilter-persistent 1.0.20, with the plugins for iptables and ipset' ;;
  crowdsec) version_of crowdsec crowdsec-firewall-bouncer ;;
  *) version_of "$NAME" ;;
esac
check 'the network is set up' true
"beside_$NAME"
closing
