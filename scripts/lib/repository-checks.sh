# Runs inside the root that scripts/test-repository makes: what the repositories promise, one check a line.
set -uo pipefail
cd /packages || exit
# shellcheck source=scripts/lib/checks.sh
source /packages/checks.sh

apt=(apt-get -qq --yes -o Dir::Etc::sourcelist=/dev/null -o APT::Get::List-Cleanup=0)
dnf=(dnf --quiet --assumeyes --setopt=reposdir=/etc/yum.repos.d --setopt=cachedir=/var/cache/dnf)

runs() { [[ $(/usr/sbin/firewall-drop version) == *firewall-drop* ]]; }

echo 'apt'
install -D -m 0644 -t /etc/apt/keyrings /repository/wazuh-firewall-drop.asc
rm -f /etc/apt/sources.list.d/*
install -m 0644 -t /etc/apt/sources.list.d /repository/firewall-drop.sources
check 'apt takes the repository' "${apt[@]}" update
check 'installs from it' "${apt[@]}" install wazuh-firewall-drop
check 'the program runs' runs
check 'removes it' "${apt[@]}" purge wazuh-firewall-drop
rm -rf /var/lib/apt/lists/*
sed -i 's/^Suite: stable/Suite: stablf/' /repository/apt/dists/stable/InRelease
check 'an index that was changed is refused' fails "${apt[@]}" -o APT::Update::Error-Mode=any update

echo 'dnf'
install -D -m 0644 -t /etc/yum.repos.d /repository/firewall-drop.repo
check 'dnf refuses it where the C library is too old' fails "${dnf[@]}" install wazuh-firewall-drop
check 'and installs nothing' fails rpm -q wazuh-firewall-drop
check 'the stand-in of the base packages installs' rpm -i base.rpm
check 'dnf installs from the repository' "${dnf[@]}" install wazuh-firewall-drop
check 'the program runs' runs
check 'rpm finds every file as packaged' rpm -V wazuh-firewall-drop
check 'the timer is enabled by its preset' test -L /etc/systemd/system/timers.target.wants/firewall-drop-expire.timer
check 'dnf removes it' "${dnf[@]}" remove wazuh-firewall-drop
check 'and the timer with it' fails test -L /etc/systemd/system/timers.target.wants/firewall-drop-expire.timer
printf 'x' >>"$(ls /repository/yum/*.rpm)"
rm -rf /var/cache/dnf
check 'a package that was changed is refused' fails "${dnf[@]}" install wazuh-firewall-drop

closing
