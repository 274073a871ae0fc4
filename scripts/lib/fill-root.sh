# Sourced by the scripts that make a root with debootstrap. Every function returns the status of its first command that
# fails.

# inside ROOT COMMAND…: runs a command in the root.
inside() { chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "${@:2}"; }
export -f inside

# fill_root ROOT PACKAGE…: installs packages in the root. Their maintainer scripts run without access to this machine's
# network and processes, and start no daemons.
fill_root() {
  local root=$1 install=(apt-get --yes --no-install-recommends --option Dpkg::Options::=--force-confold install)
  shift
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" &&
    chmod 755 "$root/usr/sbin/policy-rc.d" &&
    cp /etc/resolv.conf "$root/etc/resolv.conf" &&
    inside "$root" apt-get -qq update &&
    inside "$root" "${install[@]}" --download-only "$@" &&
    unshare --net --mount --pid --fork --kill-child --propagation private bash -ec '
      ip link set lo up
      mount -t proc proc "$1/proc"
      inside "$@"' bash "$root" "${install[@]}" "$@" &&
    inside "$root" apt-get clean
}
