# What the maintainer scripts share; the build puts it at the top of each.
PROGRAM=/usr/lib/firewall-drop/firewall-drop
RESPONSES=/var/ossec/active-response/bin
# Wazuh 5 calls its own program block-ip; with another agent one of that name is the administrator's.
NAMES='firewall-drop firewall-drop.sh'
TAKEN="$NAMES block-ip"
if grep -qs '"version": *"v\{0,1\}5\.' /var/ossec/VERSION.json; then NAMES=$TAKEN; fi
LOGS=/var/ossec/logs
ROTATION=/etc/logrotate.d/firewall-drop

# Before it takes the place of the agent's program: a library of this host may be too old for it.
must_run() {
  if "$PROGRAM" version >/dev/null; then return 0; fi
  echo "wazuh-firewall-drop: $PROGRAM does not run on this host, so the agent keeps its own program" >&2
  return 1
}

# What is not our link gets a second name beside us first, and ours comes by a rename: execd finds a program at every
# moment.
replace() {
  if [ "$(readlink "$1")" = "$PROGRAM" ]; then return 0; fi
  if [ -e "$1" ] || [ -L "$1" ]; then ln -Pf "$1" "$1.wazuh"; fi
  ln -sfn "$PROGRAM" "$1.new"
  mv -fT "$1.new" "$1"
}

# A run that may block: Wazuh starts us without arguments, OSSEC with `add`.
alert_under_way() {
  for process in /proc/[0-9]*; do
    if [ "$(readlink "$process/exe")" != "$PROGRAM" ]; then continue; fi
    verb=$(cat "$process/cmdline" 2>/dev/null | tr '\0' '\n' | sed -n 2p)
    if [ -z "$verb" ] || [ "$verb" = add ]; then return 0; fi
  done
  return 1
}

# A package must be removable in any case. What stays blocked ends with the next boot. An alert that is under way still
# blocks: it is waited for as long as limits.total_seconds may be.
release_bans() {
  seconds=120
  while [ "$seconds" -gt 0 ] && alert_under_way; do
    sleep 1
    seconds=$((seconds - 1))
  done
  if "$PROGRAM" flush --yes; then return 0; fi
  echo 'wazuh-firewall-drop: not every address could be unblocked; its rules stay until they are removed or the host boots:' >&2
  echo '  iptables-save | grep -e DROP; ipset list -name; nft list tables' >&2
}

# Before the bans are released: an alert in between would block an address that nobody unblocks.
give_back() {
  for path in "$RESPONSES"/*; do
    if [ "$(readlink "$path")" != "$PROGRAM" ]; then continue; fi
    if [ -e "$path.wazuh" ]; then
      mv -fT "$path.wazuh" "$path"
    elif [ -e "$path.replaced" ]; then # of a name that `install --link` added
      mv -fT "$path.replaced" "$path"
    else
      rm "$path"
    fi
  done
  # Of a name under which something newer lies.
  for name in $TAKEN; do rm -f "$RESPONSES/$name.wazuh"; done
}

# For the owner of the logs, who is wazuh, ossec, or not there (yet, or any more): a file that names nobody known makes
# logrotate fail. What an administrator made of the file stays.
rotate() {
  owner=$(stat -c '%U %G' "$LOGS" 2>/dev/null) || owner=UNKNOWN
  case $owner in
  *UNKNOWN*) rm -f "$ROTATION" ;;
  *)
    if [ -e "$ROTATION" ] || ! [ -d "${ROTATION%/*}" ]; then return 0; fi
    sed "s/wazuh wazuh/$owner/" "${PROGRAM%/*}/logrotate" >"$ROTATION"
    ;;
  esac
}
