# Runs inside the root that scripts/test-package makes: what the packages promise, one check a line.
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

# As execd does: relative, in the home, the message and then the answer on stdin.
alert() {
  local message
  message=$(firewall-drop test-alert --srcip "$A" --action "$1") || return
  { echo "$message" && echo "${message/\"command\":\"add\"/\"command\":\"continue\"}"; } |
    (cd /var/ossec && active-response/bin/firewall-drop)
}

# Until the alert is under way; execd answers it once the link is gone and bans may be released already.
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

# Without a user of that name logrotate would fail as a whole.
rotates() {
  grep -q '^  su wazuh wazuh$' /etc/logrotate.d/firewall-drop && logrotate --debug /etc/logrotate.conf 2>&1 |
    { ! grep -i error; }
}
has_zsh_completion() { grep -q '#compdef firewall-drop' "/usr/share/zsh/$1/_firewall-drop"; }

use() {
  check 'an alert is blocked through the link' alert add
  check 'the kernel holds both rules' rules_for "$A" 2
  check 'the line is written' grep -q "firewall-drop.sh add - $A " "$LOG"
  check 'in a log that the agent may read' is "$(stat -c '%U:%G %a' "$LOG")" 'wazuh:wazuh 660'
}

reboot() {
  iptables -F && rm -rf /run/firewall-drop
  check 'a reboot forgets the rules' rules_for "$A" 0
  local unit
  read -ra unit < <(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/firewall-drop-restore.service)
  check 'what the unit runs puts them back' "${unit[@]}"
  check 'and they are back' rules_for "$A" 2
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

# From the agent of Wazuh 4, with ours installed: wazuh_5 upgrade_deb, wazuh_5 upgrade_rpm.
upgrade_deb() { dpkg -i "wazuh-agent_$1.deb"; }
upgrade_rpm() { rpm -U --nodeps "wazuh-agent-$1.rpm"; }
wazuh_5() {
  local version
  for version in 5.0 5.1; do
    check "the agent becomes Wazuh $version" "$1" $version
    check 'its own program is ours' is_ours block-ip
    check 'and is kept' is_agents $version .wazuh block-ip
    check 'the other name is still ours' is_ours
  done
  check 'a further name is added' firewall-drop install --link --name other
}

# As where no systemd runs: cron mails whatever it prints.
cron_is_silent() {
  is "$(sed -n 's/^\* \* \* \* \* *root *//p' /etc/cron.d/firewall-drop | sh 2>&1)" ''
}

# Its status is about all of the host, where no execd runs.
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
# The same package for hosts that have what this one lacks, and with a program that does not run here.
unfit_deb() {
  local tree=/tmp/unfit-$1
  dpkg-deb -R ours.deb "$tree" && sed -i "$2" "$tree/DEBIAN/control" || return
  if [[ $1 == broken ]]; then printf '#!/bin/false\n' >"$tree/usr/lib/firewall-drop/firewall-drop"; fi
  dpkg-deb --root-owner-group -Znone --build "$tree" "/tmp/unfit-$1.deb" >/dev/null && rm -rf "$tree"
}

echo 'deb'
check 'the stand-in of the agent installs' dpkg -i wazuh-agent_4.1.deb
check 'a package for a newer C library can be made' unfit_deb libc 's/^Pre-Depends: .*/Pre-Depends: libc6 (>= 99)/'
check 'is refused' fails dpkg -i /tmp/unfit-libc.deb
check "and the agent keeps its program" is_agents 4.1 ''
check 'a package whose program does not run here can be made' unfit_deb broken ''
check 'is not configured' fails dpkg -i /tmp/unfit-broken.deb
check "and the agent keeps its program" is_agents 4.1 ''
check 'is removed all the same' dpkg -P wazuh-firewall-drop
check "and the agent still has its program" is_agents 4.1 ''
check 'ours installs' dpkg -i ours.deb
check 'the link leads to us' is_ours
check "the agent's program is kept" is_agents 4.1 .wazuh
check 'doctor finds the program as packaged' doctor_says 'the checksum in /usr/lib/firewall-drop/SHA256SUMS matches'
check 'logrotate reads its file for the owner of the logs' rotates
check 'zsh finds its completion' has_zsh_completion vendor-completions
check 'install is refused' refuses install 'apt-get install --reinstall wazuh-firewall-drop'
check 'uninstall is refused' refuses uninstall 'apt-get remove wazuh-firewall-drop'
check 'every link of the documentation leads somewhere' links_lead_somewhere
check 'dpkg finds every file as packaged' is "$(dpkg -V wazuh-firewall-drop)" ''
use
check 'the agent upgrades' dpkg -i wazuh-agent_4.2.deb
check 'the link is still ours' is_ours
check "the agent's newer program is kept" is_agents 4.2 .wazuh
check 'we upgrade with a block active' dpkg -i newer.deb
check 'the block is still there, once' rules_for "$A" 2
check 'and in the state' firewall-drop status "$A"
check 'the link is still ours' is_ours
reboot
check 'a delete releases it' alert delete
check 'nothing is left of it' rules_for "$A" 0
begin_alert
check 'removal works' dpkg -r wazuh-firewall-drop
wait
check 'no block is left of an alert that was under way' rules_for "$A" 0
check "the agent's program is back" is_agents 4.2 ''
check 'the second name is gone' gone "$BIN/firewall-drop.sh" "$BIN/firewall-drop.wazuh"
check 'the configuration stays' test -e /etc/firewall-drop/config.toml
check 'and a table of cron that says nothing' cron_is_silent
check 'purge works' dpkg -P wazuh-firewall-drop
check 'nothing of ours is left' gone /etc/firewall-drop /etc/cron.d/firewall-drop \
  /etc/logrotate.d/firewall-drop /var/lib/firewall-drop /run/firewall-drop /usr/lib/firewall-drop
check 'no diversion is left' is "$(dpkg-divert --list '*/active-response/*')" ''
dpkg -i ours.deb >/dev/null
wazuh_5 upgrade_deb
echo "the administrator's" >"$BIN/other.replaced"
check 'removal works' dpkg -r wazuh-firewall-drop
check "the agent's program is back" is_agents 5.1 '' block-ip
check 'what the further name replaced is back' is "$(cat "$BIN/other")" "the administrator's"
check 'no diversion is left' is "$(dpkg-divert --list '*/active-response/*')" ''
dpkg -i ours.deb >/dev/null
rm "$BIN/block-ip" "$BIN/firewall-drop"
echo 'without dpkg' | tee "$BIN/block-ip" >"$BIN/firewall-drop"
check 'an upgrade past the package manager is a problem, with what to do' \
  doctor_says '→ apt-get install --reinstall wazuh-firewall-drop'
check 'removal works' dpkg -r wazuh-firewall-drop
check 'and leaves its program' is "$(cat "$BIN/block-ip")" 'without dpkg'
check 'the kept one is gone' gone "$BIN/block-ip.wazuh"
dpkg-divert --quiet --no-rename --add "$BIN/firewall-drop"
check "a diversion of the administrator's keeps us from being configured" fails dpkg -i ours.deb
check 'and not from being removed' dpkg -r wazuh-firewall-drop
dpkg-divert --quiet --no-rename --remove "$BIN/firewall-drop"
dpkg -i ours.deb >/dev/null
check 'the agent is purged' dpkg -P wazuh-agent
check 'and nothing makes logrotate fail' logrotate --force /etc/logrotate.conf
dpkg -P wazuh-firewall-drop >/dev/null 2>&1
rm -rf /var/ossec
check 'without an agent ours installs' dpkg -i ours.deb
check 'and leaves nothing that makes logrotate fail' gone /etc/logrotate.d/firewall-drop
check 'an agent that comes later' dpkg -i wazuh-agent_4.1.deb
check 'finds us in place' is_ours
check 'and its logs rotated' rotates
# Without the programs of iptables nothing can be unblocked.
alert add
iptables_is away
check "a removal that can't unblock succeeds" dpkg -r wazuh-firewall-drop
check "and the agent's program is back" is_agents 4.1 ''
iptables_is back
dpkg -P wazuh-firewall-drop wazuh-agent >/dev/null 2>&1
rm -rf /var/ossec

echo 'rpm'
check 'the stand-in of the agent installs' rpm -i --nodeps wazuh-agent-4.1.rpm
check 'ours installs' rpm -i --nodeps ours.rpm
check 'the link leads to us' is_ours
check "the agent's program is kept" is_agents 4.1 .wazuh
check 'logrotate reads its file for the owner of the logs' rotates
check 'zsh finds its completion' has_zsh_completion site-functions
use
check 'the agent upgrades' rpm -U --nodeps wazuh-agent-4.2.rpm
check 'the link is ours again' is_ours
check "the agent's newer program is kept" is_agents 4.2 .wazuh
check 'we upgrade with a block active' rpm -U --nodeps newer.rpm
check 'the block is still there, once' rules_for "$A" 2
check 'the link is still ours' is_ours
reboot
check 'install is refused' refuses install 'dnf reinstall wazuh-firewall-drop'
check 'uninstall is refused' refuses uninstall 'dnf remove wazuh-firewall-drop'
check 'every link of the documentation leads somewhere' links_lead_somewhere
begin_alert
check 'removal works' rpm -e wazuh-firewall-drop
wait
check 'no block is left of an alert that was under way' rules_for "$A" 0
check "the agent's program is back" is_agents 4.2 ''
check 'nothing of ours is left beside it' gone "$BIN/firewall-drop.sh" "$BIN/firewall-drop.wazuh" /usr/lib/firewall-drop \
  /etc/firewall-drop /etc/logrotate.d/firewall-drop
check 'ours installs again' rpm -i --nodeps ours.rpm
alert add
iptables_is away
check "a removal that can't unblock succeeds" rpm -e wazuh-firewall-drop
check "and the agent's program is back" is_agents 4.2 ''
iptables_is back
rpm -i --nodeps ours.rpm >/dev/null
wazuh_5 upgrade_rpm
echo "the administrator's" >"$BIN/other.replaced"
check 'removal works' rpm -e wazuh-firewall-drop
check "the agent's program is back" is_agents 5.1 '' block-ip
check 'what the further name replaced is back' is "$(cat "$BIN/other")" "the administrator's"
rpm -i --nodeps ours.rpm >/dev/null
check 'the agent is removed' rpm -e wazuh-agent
check 'and nothing makes logrotate fail' logrotate --force /etc/logrotate.conf
rpm -e wazuh-firewall-drop
rm -rf /var/ossec
check 'ours installs without an agent' rpm -i --nodeps ours.rpm
check 'a manager that comes later' rpm -i --nodeps wazuh-manager-4.1.rpm
check 'finds us in place' is_ours
check "and its program is kept" is_agents 4.1 .wazuh

closing
