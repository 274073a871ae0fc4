# The checks of scripts/test-package, run inside its root.
set -uo pipefail
cd /packages || exit

BIN=/var/ossec/active-response/bin
PROGRAM=/usr/lib/firewall-drop/firewall-drop
LOG=/var/ossec/logs/active-responses.log
A=203.0.113.9
# shellcheck source=scripts/lib/checks.sh
source /packages/checks.sh

rules_for() { [[ $(iptables -S | grep -c -- "-s $1/32 -j DROP") == "$2" ]]; }
is() { [[ $1 == "$2" ]] || { printf 'found %s, expected %s\n' "$1" "$2"; return 1; }; }
is_ours() { is "$(readlink "$BIN/${1-firewall-drop}")" "$PROGRAM"; }
is_agents() { is "$(cat "$BIN/${3-firewall-drop}$2")" "the program of agent $1"; } # VERSION ENDING [NAME]
gone() {
  local path
  for path; do if [[ -e $path || -L $path ]]; then echo "$path is there" && return 1; fi; done
}

# Runs the program as execd does: by a relative path in the home, with the message and then the answer on stdin.
alert() {
  local message
  message=$(firewall-drop test-alert --srcip "$A" --action "$1") || return
  { echo "$message" && echo "${message/\"command\":\"add\"/\"command\":\"continue\"}"; } |
    (cd /var/ossec && active-response/bin/firewall-drop)
}

# Starts an alert and waits until it is in progress. execd answers its key query after the link has been removed, when
# bans can have been released already.
begin_alert() {
  local message keys=/tmp/keys
  message=$(firewall-drop test-alert --srcip "$A" --action add) || return
  rm -f "$keys"
  {
    echo "$message"
    while is_ours >/dev/null; do sleep 0.1; done
    sleep 1
    echo "${message/\"command\":\"add\"/\"command\":\"continue\"}"
  } | (cd /var/ossec && active-response/bin/firewall-drop >"$keys") &
  until [[ -s $keys ]]; do sleep 0.1; done
}

# logrotate would fail as a whole if the user in its file did not exist.
rotates() {
  grep -q '^  su wazuh wazuh$' /etc/logrotate.d/firewall-drop && logrotate --debug --state /dev/null /etc/logrotate.conf 2>&1 |
    { ! grep -i error; }
}
has_zsh_completion() { grep -q '#compdef firewall-drop' "/usr/share/zsh/$1/_firewall-drop"; }

use() {
  check 'an alert blocks through the link' alert add
  check 'the kernel has both rules' rules_for "$A" 2
  check 'the response log has the line' grep -q "firewall-drop.sh add - $A " "$LOG"
  check 'the agent can read the response log' is "$(stat -c '%U:%G %a' "$LOG")" 'wazuh:wazuh 660'
}

reboot() {
  iptables -F && rm -rf /run/firewall-drop
  check 'a reboot loses the rules' rules_for "$A" 0
  local unit
  read -ra unit < <(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/firewall-drop-restore.service)
  check 'the command of the restore unit succeeds' "${unit[@]}"
  check 'the rules are back after it' rules_for "$A" 2
}

iptables_is() {
  local program
  if [[ $1 == away ]]; then
    for program in /usr/sbin/ip*tables*; do mv "$program" "$program.away"; done
  else
    for program in /usr/sbin/*.away; do mv "$program" "${program%.away}"; done
    iptables -F
  fi
}

# Upgrades the agent from Wazuh 4 to 5 with our package installed: wazuh_5 upgrade_deb, wazuh_5 upgrade_rpm.
upgrade_deb() { dpkg -i "wazuh-agent_$1.deb"; }
upgrade_rpm() { rpm -U --nodeps "wazuh-agent-$1.rpm"; }
wazuh_5() {
  local version
  for version in 5.0 5.1; do
    check "the agent can be upgraded to Wazuh $version" "$1" $version
    check 'block-ip leads to our program' is_ours block-ip
    check "the agent's block-ip is kept" is_agents $version .wazuh block-ip
    check 'firewall-drop still leads to our program' is_ours
  done
  check 'a further name can be added' firewall-drop install --link --name other
}

# Runs the cron job as on a host without systemd. cron would mail any output.
cron_is_silent() {
  is "$(sed -n 's/^\* \* \* \* \* *root *//p' /etc/cron.d/firewall-drop | sh 2>&1)" ''
}

# doctor's exit status concerns the whole host, on which no execd runs, so only its output is checked.
doctor_says() {
  local said
  said=$(firewall-drop doctor) || true
  [[ $said == *"$1"* ]] || { echo "$said" && return 1; }
}
refuses() {
  local command=$1 wanted=$2 said
  if said=$(firewall-drop "$command" 2>&1); then echo "$command was not refused" && return 1; fi
  [[ $said == *"use instead: $wanted"* ]] || { echo "$said" && return 1; }
}
links_lead_somewhere() {
  local page link folder broken=0
  cd /usr/share/doc/wazuh-firewall-drop || return
  while read -r page; do
    folder=$(dirname "$page")
    while read -r link; do
      [[ $link =~ ^https?$ || -e $folder/$link ]] || { echo "$page: $link is missing" && broken=1; }
    done < <(grep -oE '\]\([^)#: ]+' "$page" | cut -c3-)
  done < <(find . -name '*.md')
  return $broken
}
# Makes our package for a newer C library (libc), or with a program that does not run here (broken).
unfit_deb() {
  local tree=/tmp/unfit-$1
  dpkg-deb -R ours.deb "$tree" && sed -i "$2" "$tree/DEBIAN/control" || return
  if [[ $1 == broken ]]; then printf '#!/bin/false\n' >"$tree/usr/lib/firewall-drop/firewall-drop"; fi
  dpkg-deb --root-owner-group -Znone --build "$tree" "/tmp/unfit-$1.deb" >/dev/null && rm -rf "$tree"
}

echo 'deb'
check 'the stand-in of the agent installs' dpkg -i wazuh-agent_4.1.deb
check 'a package for a newer C library can be built' unfit_deb libc 's/^Pre-Depends: .*/Pre-Depends: libc6 (>= 99)/'
check 'dpkg refuses a package for a newer C library' fails dpkg -i /tmp/unfit-libc.deb
check "the agent keeps its program after the refusal" is_agents 4.1 ''
check 'a package whose program does not run here can be built' unfit_deb broken ''
check 'dpkg does not configure a package whose program does not run' fails dpkg -i /tmp/unfit-broken.deb
check "the agent keeps its program after the failed configuration" is_agents 4.1 ''
check 'an unconfigured package can be removed' dpkg -P wazuh-firewall-drop
check "the agent still has its program after the removal" is_agents 4.1 ''
check 'our package installs' dpkg -i ours.deb
check 'the link leads to our program' is_ours
check "the agent's program is kept" is_agents 4.1 .wazuh
check 'doctor finds the program unchanged' doctor_says 'the checksum in /usr/lib/firewall-drop/SHA256SUMS matches'
check 'logrotate accepts its file, with the owner of the logs' rotates
check 'zsh finds its completion' has_zsh_completion vendor-completions
check 'install refuses, and names the package manager' refuses install 'apt-get install --reinstall wazuh-firewall-drop'
check 'uninstall refuses, and names the package manager' refuses uninstall 'apt-get remove wazuh-firewall-drop'
check 'every link of the documentation has a target' links_lead_somewhere
check 'dpkg finds every file unchanged' is "$(dpkg -V wazuh-firewall-drop)" ''
use
check 'the agent can be upgraded' dpkg -i wazuh-agent_4.2.deb
check 'the link still leads to our program after it' is_ours
check "the agent's newer program is kept" is_agents 4.2 .wazuh
check 'our package can be upgraded with an active block' dpkg -i newer.deb
check 'the kernel has the block once after it' rules_for "$A" 2
check 'the state has the ban after it' firewall-drop status "$A"
check 'the link still leads to our program after it' is_ours
reboot
check "execd's delete releases the address" alert delete
check 'no rule is left after the delete' rules_for "$A" 0
begin_alert
check 'the package can be removed' dpkg -r wazuh-firewall-drop
wait
check 'no block is left of an alert that was in progress' rules_for "$A" 0
check "the agent's program is back" is_agents 4.2 ''
check 'the further names are gone' gone "$BIN/firewall-drop.sh" "$BIN/firewall-drop.wazuh"
check 'the configuration stays' test -e /etc/firewall-drop/config.toml
check 'the remaining cron table prints nothing' cron_is_silent
check 'the package can be purged' dpkg -P wazuh-firewall-drop
check 'no file of ours is left' gone /etc/firewall-drop /etc/cron.d/firewall-drop \
  /etc/logrotate.d/firewall-drop /var/lib/firewall-drop /run/firewall-drop /usr/lib/firewall-drop
check 'no diversion is left' is "$(dpkg-divert --list '*/active-response/*')" ''
dpkg -i ours.deb >/dev/null
wazuh_5 upgrade_deb
echo "the administrator's" >"$BIN/other.replaced"
check 'the package can be removed' dpkg -r wazuh-firewall-drop
check "the agent's program is back" is_agents 5.1 '' block-ip
check 'the file that the further name replaced is back' is "$(cat "$BIN/other")" "the administrator's"
check 'no diversion is left' is "$(dpkg-divert --list '*/active-response/*')" ''
dpkg -i ours.deb >/dev/null
rm "$BIN/block-ip" "$BIN/firewall-drop"
echo 'without dpkg' | tee "$BIN/block-ip" >"$BIN/firewall-drop"
check 'doctor reports an upgrade without dpkg as a problem, with the command to run' \
  doctor_says '→ apt-get install --reinstall wazuh-firewall-drop'
check 'the package can be removed after such an upgrade' dpkg -r wazuh-firewall-drop
check "removal leaves the agent's newer program" is "$(cat "$BIN/block-ip")" 'without dpkg'
check "the agent's older program is gone" gone "$BIN/block-ip.wazuh"
dpkg-divert --quiet --no-rename --add "$BIN/firewall-drop"
check 'a diversion by the administrator prevents configuration' fails dpkg -i ours.deb
check 'a diversion by the administrator does not prevent removal' dpkg -r wazuh-firewall-drop
dpkg-divert --quiet --no-rename --remove "$BIN/firewall-drop"
dpkg -i ours.deb >/dev/null
check 'the agent can be purged' dpkg -P wazuh-agent
check 'logrotate succeeds after the purge of the agent' logrotate --force /etc/logrotate.conf
dpkg -P wazuh-firewall-drop >/dev/null 2>&1
rm -rf /var/ossec
check 'our package installs without an agent' dpkg -i ours.deb
check 'our package installs no logrotate file without an agent' gone /etc/logrotate.d/firewall-drop
check 'an agent can be installed later' dpkg -i wazuh-agent_4.1.deb
check 'the link leads to our program after it' is_ours
check 'logrotate accepts its file after it' rotates
# Without the programs of iptables, nothing can be unblocked.
alert add
iptables_is away
check "a removal that can't unblock succeeds" dpkg -r wazuh-firewall-drop
check "the agent's program is back after it" is_agents 4.1 ''
iptables_is back
dpkg -P wazuh-firewall-drop wazuh-agent >/dev/null 2>&1
rm -rf /var/ossec

echo 'rpm'
check 'the stand-in of the agent installs' rpm -i --nodeps wazuh-agent-4.1.rpm
check 'our package installs' rpm -i --nodeps ours.rpm
check 'the link leads to our program' is_ours
check "the agent's program is kept" is_agents 4.1 .wazuh
check 'logrotate accepts its file, with the owner of the logs' rotates
check 'zsh finds its completion' has_zsh_completion site-functions
use
check 'the agent can be upgraded' rpm -U --nodeps wazuh-agent-4.2.rpm
check 'the link leads to our program again after it' is_ours
check "the agent's newer program is kept" is_agents 4.2 .wazuh
check 'our package can be upgraded with an active block' rpm -U --nodeps newer.rpm
check 'the kernel has the block once after it' rules_for "$A" 2
check 'the link still leads to our program after it' is_ours
reboot
check 'install refuses, and names the package manager' refuses install 'dnf reinstall wazuh-firewall-drop'
check 'uninstall refuses, and names the package manager' refuses uninstall 'dnf remove wazuh-firewall-drop'
check 'every link of the documentation has a target' links_lead_somewhere
begin_alert
check 'the package can be removed' rpm -e wazuh-firewall-drop
wait
check 'no block is left of an alert that was in progress' rules_for "$A" 0
check "the agent's program is back" is_agents 4.2 ''
check 'no file of ours is left beside it' gone "$BIN/firewall-drop.sh" "$BIN/firewall-drop.wazuh" /usr/lib/firewall-drop \
  /etc/firewall-drop /etc/logrotate.d/firewall-drop
check 'our package installs again' rpm -i --nodeps ours.rpm
alert add
iptables_is away
check "a removal that can't unblock succeeds" rpm -e wazuh-firewall-drop
check "the agent's program is back after it" is_agents 4.2 ''
iptables_is back
rpm -i --nodeps ours.rpm >/dev/null
wazuh_5 upgrade_rpm
echo "the administrator's" >"$BIN/other.replaced"
check 'the package can be removed' rpm -e wazuh-firewall-drop
check "the agent's program is back" is_agents 5.1 '' block-ip
check 'the file that the further name replaced is back' is "$(cat "$BIN/other")" "the administrator's"
rpm -i --nodeps ours.rpm >/dev/null
check 'the agent can be removed' rpm -e wazuh-agent
check 'logrotate succeeds after the removal of the agent' logrotate --force /etc/logrotate.conf
rpm -e wazuh-firewall-drop
rm -rf /var/ossec
check 'our package installs without an agent' rpm -i --nodeps ours.rpm
check 'a manager can be installed later' rpm -i --nodeps wazuh-manager-4.1.rpm
check 'the link leads to our program after it' is_ours
check "the manager's program is kept" is_agents 4.1 .wazuh

closing
