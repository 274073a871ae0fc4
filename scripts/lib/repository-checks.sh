# The checks of scripts/test-repository, run inside its root.
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
check 'apt accepts the repository' "${apt[@]}" update
check 'apt installs the package' "${apt[@]}" install wazuh-firewall-drop
check 'the program runs' runs
check 'apt removes the package' "${apt[@]}" purge wazuh-firewall-drop
rm -rf /var/lib/apt/lists/*
sed -i 's/^Suite: stable/Suite: stablf/' /repository/apt/dists/stable/InRelease
check 'apt refuses a modified index' fails "${apt[@]}" -o APT::Update::Error-Mode=any update

echo 'dnf'
install -D -m 0644 -t /etc/yum.repos.d /repository/firewall-drop.repo
check 'dnf refuses the package if the C library is too old' fails "${dnf[@]}" install wazuh-firewall-drop
check 'dnf installs nothing in this case' fails rpm -q wazuh-firewall-drop
check 'the stand-in of the base packages installs' rpm -i base.rpm
check 'dnf installs the package' "${dnf[@]}" install wazuh-firewall-drop
check 'the program runs' runs
check 'rpm finds every file unchanged' rpm -V wazuh-firewall-drop
check 'the preset enables the timer' test -L /etc/systemd/system/timers.target.wants/firewall-drop-expire.timer
check 'dnf removes the package' "${dnf[@]}" remove wazuh-firewall-drop
check 'removing the package disables the timer' fails test -L /etc/systemd/system/timers.target.wants/firewall-drop-expire.timer
printf 'x' >>"$(ls /repository/yum/*.rpm)"
rm -rf /var/cache/dnf
check 'dnf refuses a modified package' fails "${dnf[@]}" install wazuh-firewall-drop

closing
