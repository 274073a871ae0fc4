# Runs inside the root that scripts/test-package makes: what the packages promise, one check a line.
set -uo pipefail
cd /packages || exit

BIN=/var/ossec/active-response/bin
PROGRAM=/usr/lib/firewall-drop/firewall-drop
LOG=/var/ossec/logs/active-responses.log
A=203.0.113.9
passed=0
failed=0

check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    echo "  ok: $what"
  else
    failed=$((failed + 1))
    printf '  FAILED: %s\n%s\n' "$what" "$output"
  fi
}

rules_for() { [[ $(iptables -S | grep -c -- "-s $1/32 -j DROP") == "$2" ]]; }
is() { [[ $1 == "$2" ]] || { printf 'found %s, expected %s\n' "$1" "$2"; return 1; }; }
is_ours() { is "$(readlink "$BIN/firewall-drop")" "$PROGRAM"; }
is_agents() { is "$(cat "$BIN/firewall-drop$2")" "the program of agent $1"; }
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

echo 'deb'
check 'the stand-in of the agent installs' dpkg -i wazuh-agent_4.1.deb
check 'ours installs' dpkg -i ours.deb
check 'the link leads to us' is_ours
check "the agent's program is kept" is_agents 4.1 .wazuh
sum_agrees() {
  # Its status is about all of the host, where no execd runs.
  local said
  said=$(firewall-drop doctor) || true
  [[ $said == *"the sum in /usr/lib/firewall-drop/SHA256SUMS agrees"* ]] || { echo "$said" && return 1; }
}
check 'doctor finds the program as packaged' sum_agrees
check 'logrotate reads its file for the owner of the logs' rotates
check 'zsh finds its completion' has_zsh_completion vendor-completions
check 'dpkg finds every file as packaged' is "$(dpkg -V wazuh-firewall-drop)" ''
use
check 'the agent upgrades' dpkg -i wazuh-agent_4.2.deb
check 'the link is still ours' is_ours
check "the agent's newer program is kept" is_agents 4.2 .wazuh
check 'we upgrade with a block active' dpkg -i newer.deb
check 'the block is still there, once' rules_for "$A" 2
check 'and in the books' firewall-drop status "$A"
check 'the link is still ours' is_ours
reboot
check 'a delete releases it' alert delete
check 'nothing is left of it' rules_for "$A" 0
alert add
check 'removal works' dpkg -r wazuh-firewall-drop
check 'no block is left' rules_for "$A" 0
check "the agent's program is back" is_agents 4.2 ''
check 'the second name is gone' gone "$BIN/firewall-drop.sh" "$BIN/firewall-drop.wazuh"
check 'the configuration stays' test -e /etc/firewall-drop/config.toml
check 'purge works' dpkg -P wazuh-firewall-drop
check 'nothing of ours is left' gone /etc/firewall-drop /etc/cron.d/firewall-drop \
  /etc/logrotate.d/firewall-drop /var/lib/firewall-drop /run/firewall-drop /usr/lib/firewall-drop
check 'no diversion is left' is "$(dpkg-divert --list '*/active-response/*')" ''
check 'the agent is purged' dpkg -P wazuh-agent
rm -rf /var/ossec
check 'without an agent ours installs' dpkg -i ours.deb
check 'and leaves nothing that makes logrotate fail' gone /etc/logrotate.d/firewall-drop
check 'an agent that comes later' dpkg -i wazuh-agent_4.1.deb
check 'finds us in place' is_ours
check 'and its logs rotated' rotates
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
check 'removal works' rpm -e wazuh-firewall-drop
check 'no block is left' rules_for "$A" 0
check "the agent's program is back" is_agents 4.2 ''
check 'nothing of ours is left beside it' gone "$BIN/firewall-drop.sh" "$BIN/firewall-drop.wazuh" /usr/lib/firewall-drop \
  /etc/firewall-drop /etc/logrotate.d/firewall-drop

echo
echo "$passed passed, $failed failed"
((failed == 0))
