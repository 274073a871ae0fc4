# What the maintainer scripts share; the build puts it at the top of each.
PROGRAM=/usr/lib/firewall-drop/firewall-drop
RESPONSES=/var/ossec/active-response/bin
NAMES='firewall-drop firewall-drop.sh'
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

# A package must be removable in any case. What stays blocked ends with the next boot.
release_bans() {
  if "$PROGRAM" flush --yes; then return 0; fi
  echo 'wazuh-firewall-drop: not every address could be unblocked; its rules stay until they are removed or the host boots:' >&2
  echo '  iptables-save | grep -e DROP; ipset list -name; nft list tables' >&2
}

# For the owner of the logs, who is wazuh, ossec, or not there yet: a file that names nobody known makes
# logrotate fail as a whole. What an administrator made of the file stays.
rotate() {
  if [ -e "$ROTATION" ] || ! [ -d "$LOGS" ] || ! [ -d "${ROTATION%/*}" ]; then return 0; fi
  owner=$(stat -c '%U %G' "$LOGS")
  case $owner in *UNKNOWN*) return 0 ;; esac
  sed "s/wazuh wazuh/$owner/" "${PROGRAM%/*}/logrotate" >"$ROTATION"
}
