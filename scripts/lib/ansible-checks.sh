#!/usr/bin/env bash
# The checks of scripts/test-ansible, run inside its namespaces: ansible-checks.sh CHECKOUT
set -euo pipefail
checkout=$1
# shellcheck source=scripts/lib/overlay-root.sh
source "$checkout/scripts/lib/overlay-root.sh"
work=$(mktemp -d)
mount -t tmpfs tmpfs "$work"
export HOME=$work ANSIBLE_ROLES_PATH=$checkout/packaging/ansible/roles ANSIBLE_NOCOLOR=1
export ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_RETRY_FILES_ENABLED=0
ip link set lo up
# shellcheck source=scripts/lib/checks.sh
source "$checkout/scripts/lib/checks.sh"

root_of() { echo "$work/$1/root"; }
on() {
  local host=$1
  shift
  chroot "$(root_of "$host")" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# agent HOST HOME: installs a stand-in of an agent: directories, its own program, its configuration, and a running
# execd.
agent() {
  local root home=$2
  root=$(root_of "$1")$home
  install -d -m 0750 "$root"{,/active-response,/active-response/bin,/bin}
  install -d -m 0770 "$root"/{etc,logs} && install -d "$root/etc/shared"
  on "$1" useradd --system --no-create-home wazuh
  on "$1" chgrp -R wazuh "$home"
  on "$1" chown wazuh "$home/logs"
  echo "the agent's program" >"$root/active-response/bin/firewall-drop"
  printf '<ossec_config>\n</ossec_config>\n' >"$root/etc/ossec.conf"
  echo '{"version":"4.14.7"}' >"$root/VERSION.json"
  printf '[Service]\nExecStart=%s/bin/wazuh-control start\n' "$home" >"$(root_of "$1")/etc/systemd/system/wazuh-agent.service"
  cp /bin/sleep "$root/bin/wazuh-execd"
  on "$1" "$home/bin/wazuh-execd" 1000 </dev/null >/dev/null 2>&1 &
}

for host in packaged copied agentless; do
  overlay_root "$checkout/dist/systems/bookworm" "$work/$host"
done
agent packaged /var/ossec
agent copied /opt/ossec

deb=$(echo "$checkout"/dist/packages/wazuh-firewall-drop_*_amd64.deb)
cat >"$work/hosts.yml" <<END
wazuh_agents:
  vars:
    ansible_connection: community.general.chroot
    ansible_python_interpreter: /usr/bin/python3
    ansible_become: false
    firewall_drop_config: {firewall: {backend: iptables}, protect: {allow: ["192.0.2.10"]}}
  hosts:
    packaged:
      ansible_host: $(root_of packaged)
      firewall_drop_package_file: $deb
    copied:
      ansible_host: $(root_of copied)
      firewall_drop_binary_file: $checkout/bin/firewall-drop
      firewall_drop_home: /opt/ossec
      firewall_drop_names: [firewall-drop, block-ip]
    agentless:
      ansible_host: $(root_of agentless)
END

play() {
  ansible-playbook --inventory "$work/hosts.yml" --limit "$1" "${@:2}" "$checkout/packaging/ansible/site.yml"
}
changes_nothing() {
  local said
  said=$(play "$@") || { echo "$said" && return 1; }
  [[ $said =~ changed=0\  ]] || { echo "$said" && return 1; }
}
fails_saying() {
  local said
  said=$(play "${@:2}") && echo 'it did not fail' && return 1
  [[ $said == *"$1"* ]] || { echo "$said" && return 1; }
}
in_home() { grep -q "$3" "$(root_of "$1")/$2"; }
blocks() {
  local message
  message=$(on "$1" "$2/active-response/bin/$3" test-alert --srcip 203.0.113.9) || return
  printf '%s\n%s\n' "$message" "${message/\"command\":\"add\"/\"command\":\"continue\"}" |
    on "$1" sh -c "cd $2 && exec active-response/bin/$3" >/dev/null || return
  [[ $(iptables -S | grep -c -- '-s 203.0.113.9/32 -j DROP') == 2 ]] || return
  on "$1" "$2/active-response/bin/$3" delete 203.0.113.9
}

echo 'dry run'
check 'a dry run succeeds' play packaged --check --diff
check 'a dry run changes nothing' test ! -e "$(root_of packaged)/usr/lib/firewall-drop"

echo 'installation from a package'
check 'the role succeeds' play packaged
check 'the role writes the configuration' in_home packaged etc/firewall-drop/config.toml '^allow = \["192.0.2.10"\]$'
check 'an alert blocks' blocks packaged /var/ossec firewall-drop
check 'a second run changes nothing' changes_nothing packaged
check "the agent's configuration passes config check" \
  on packaged firewall-drop config check /var/ossec/etc/ossec.conf
check 'the agent runs doctor' in_home packaged var/ossec/etc/ossec.conf 'firewall-drop doctor</alias>'
check 'a further name is a link' play packaged -e '{"firewall_drop_names":["firewall-drop","firewall-drop.sh","block-ip"]}'
check 'an alert blocks by the further name' blocks packaged /var/ossec block-ip
chmod 0777 "$(root_of packaged)/var/ossec/active-response/bin"
check 'a problem on the host fails the play, with the reason' fails_saying 'other users can' packaged
chmod 0750 "$(root_of packaged)/var/ossec/active-response/bin"

echo 'installation from the executable, in another home'
check 'the role succeeds' play copied
check "root owns the program, and the agent's group can run it" \
  test "$(on copied stat -c '%U:%G %a' /opt/ossec/active-response/bin/firewall-drop)" = 'root:wazuh 750'
check 'an alert blocks by the name of Wazuh 5' blocks copied /opt/ossec block-ip
check 'a second run changes nothing' changes_nothing copied
echo 'newer' >"$(root_of copied)/opt/ossec/active-response/bin/firewall-drop"
check 'the role restores the program after an upgrade of the agent' play copied
check 'the restored program blocks' blocks copied /opt/ossec firewall-drop
echo '[firewall' >"$(root_of copied)/etc/firewall-drop/config.toml"
check 'a broken configuration fails the play, with the reason' \
  fails_saying config.toml copied -e '{"firewall_drop_config":{}}'
check 'a tolerated problem does not fail the play' \
  play copied -e '{"firewall_drop_config":{},"firewall_drop_tolerated":["configuration"]}'

echo 'host without an agent'
check 'the play fails, with the reason' fails_saying 'There is no Wazuh or OSSEC agent' agentless
check 'the play installs nothing' test ! -e "$(root_of agentless)/etc/firewall-drop"

echo 'release of an address on every host through ssh (docs/runbook.md)'
# Each host has its own network. Nothing listens on the third host.
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
remote() {
  nsenter --net="/proc/${networks[$1]}/ns/net" chroot "$(root_of "$1")" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "${@:2}"
}
declare -A networks
serve() {
  local host=$1 address=$2 root
  overlay_root "$checkout/dist/systems/bookworm" "$work/$host"
  root=$(root_of "$host")
  agent "$host" /var/ossec
  install -m 0750 "$checkout/bin/firewall-drop" "$root/var/ossec/active-response/bin/firewall-drop"
  install -D -m 0600 "$work/key.pub" "$root/root/.ssh/authorized_keys"
  unshare --net sleep infinity &
  networks[$host]=$!
  until [[ $(readlink "/proc/${networks[$host]}/ns/net") != "$(readlink /proc/self/ns/net)" ]]; do sleep 0.1; done
  ip link add "$host" type veth peer name eth0 netns "${networks[$host]}"
  ip address add "${address%.*}.1/30" dev "$host" && ip link set "$host" up
  remote "$host" ip address add "$address/30" dev eth0
  remote "$host" ip link set eth0 up
  mount -t tmpfs -o mode=0755 tmpfs "$root/run" && mkdir "$root/run/sshd"
  remote "$host" ssh-keygen -q -A
  remote "$host" /usr/sbin/sshd -o UsePAM=no
  remote "$host" /var/ossec/active-response/bin/firewall-drop add 203.0.113.9 >/dev/null
}
serve first 192.0.2.2
serve second 198.51.100.2
cat >"$work/remote.yml" <<END
wazuh_agents:
  vars:
    ansible_user: root
    ansible_become: false
    ansible_python_interpreter: /usr/bin/python3
    ansible_ssh_private_key_file: $work/key
    ansible_ssh_common_args: -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5
  hosts:
    first: {ansible_host: 192.0.2.2}
    second: {ansible_host: 198.51.100.2}
    absent: {ansible_host: 192.0.2.1, ansible_port: 2222}
END
awk '/^```yaml/ { on = 1; text = ""; next } /^```/ && on { if (text ~ /Unblock an address/) printf "%s", text; on = 0 } on { text = text $0 "\n" }' \
  "$checkout/docs/runbook.md" >"$work/release.yml"
is_blocked() { [[ $(remote "$1" iptables -S INPUT) == *'-s 203.0.113.9/32 -j DROP'* ]]; }
check 'the first host blocks the address' is_blocked first
check 'the second host blocks the address' is_blocked second
released=$(ansible-playbook --inventory "$work/remote.yml" -e address=203.0.113.9 "$work/release.yml" 2>&1 || true)
check 'the play releases it on the first host' fails is_blocked first
check 'the play releases it on the second host' fails is_blocked second
check 'the play reports both releases' test "$(grep -cE '^(first|second) .* changed=1 ' <<<"$released")" = 2
check 'the play names the host that does not answer' grep -qE '^absent .* unreachable=1 ' <<<"$released"

closing
