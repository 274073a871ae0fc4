# What the maintainer scripts share; the build puts it at the top of each.
PROGRAM=/usr/lib/firewall-drop/firewall-drop
RESPONSES=/var/ossec/active-response/bin
NAMES='firewall-drop firewall-drop.sh'
LOGS=/var/ossec/logs
ROTATION=/etc/logrotate.d/firewall-drop

# For the owner of the logs, who is wazuh, ossec, or not there yet: a file that names nobody known makes
# logrotate fail as a whole. What an administrator made of the file stays.
rotate() {
  if [ -e "$ROTATION" ] || ! [ -d "$LOGS" ] || ! [ -d "${ROTATION%/*}" ]; then return 0; fi
  owner=$(stat -c '%U %G' "$LOGS")
  case $owner in *UNKNOWN*) return 0 ;; esac
  sed "s/wazuh wazuh/$owner/" "${PROGRAM%/*}/logrotate" >"$ROTATION"
}
