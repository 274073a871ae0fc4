# Functions of the maintainer scripts; the build inserts them at the top of each.
PROGRAM=/usr/lib/firewall-drop/firewall-drop
RESPONSES=/var/ossec/active-response/bin
# Wazuh 5 calls its own program block-ip. On other agents, a program of that name belongs to the administrator.
NAMES='firewall-drop firewall-drop.sh'
TAKEN="$NAMES block-ip"
if grep -qs '"version": *"v\{0,1\}5\.' /var/ossec/VERSION.json; then NAMES=$TAKEN; fi
LOGS=/var/ossec/logs
ROTATION=/etc/logrotate.d/firewall-drop

# Checks that the program runs before it replaces the agent's, because a library of this host can be too old.
must_run() {
  if "$PROGRAM" version >/dev/null; then return 0; fi
  echo "wazuh-firewall-drop: $PROGRAM does not run on this host, so the agent keeps its own program" >&2
  return 1
}

# Gives a file that is not our link a second name first, then puts our link in place by a rename, so that execd finds a
# program at every moment.
replace() {
  if [ "$(readlink "$1")" = "$PROGRAM" ]; then return 0; fi
  if [ -e "$1" ] || [ -L "$1" ]; then ln -Pf "$1" "$1.wazuh"; fi
  ln -sfn "$PROGRAM" "$1.new"
  mv -fT "$1.new" "$1"
}

# Reports whether a run that can block is active: Wazuh starts us without arguments, OSSEC with `add`.
alert_under_way() {
  for process in /proc/[0-9]*; do
    # Compare files and not paths: in a mount namespace of its own, rpm's script sees other paths.
    if ! [ "$process/exe" -ef "$PROGRAM" ]; then continue; fi
    verb=$(cat "$process/cmdline" 2>/dev/null | tr '\0' '\n' | sed -n 2p)
    if [ -z "$verb" ] || [ "$verb" = add ]; then return 0; fi
  done
  return 1
}

# Releases all bans. Never fails, because a package must always be removable; a remaining rule ends with the next boot.
# First waits for running alerts, which still block, for as long as limits.total_seconds can be.
release_bans() {
  seconds=120
  while [ "$seconds" -gt 0 ] && alert_under_way; do
    sleep 1
    seconds=$((seconds - 1))
  done
  # rpm can run its scripts in a network namespace of their own, but is itself in that of the host.
  enter=
  if ! [ "/proc/$PPID/ns/net" -ef "/proc/$$/ns/net" ]; then enter="nsenter --net=/proc/$PPID/ns/net"; fi
  if $enter "$PROGRAM" flush --yes; then return 0; fi
  echo 'wazuh-firewall-drop: some addresses could not be unblocked; their rules stay until they are removed or the host reboots:' >&2
  echo '  iptables-save | grep -e DROP; ipset list -name; nft list tables' >&2
}

# Restores the agent's programs. Runs before the bans are released, because an alert in between would leave a block that
# never ends.
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
  # Remove the copies for names that now have a newer program.
  for name in $TAKEN; do rm -f "$RESPONSES/$name.wazuh"; done
}

# Creates the logrotate file for the owner of the logs, wazuh or ossec. Removes it if that user does not exist (yet, or any
# more), because logrotate fails on an unknown user. Keeps a file that an administrator changed.
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
