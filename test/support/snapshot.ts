/**
 * Saves a prepared host and loads it again: kernel rules and sets, state, configuration and logs. Loading needs no run
 * of the executable.
 */
import { STATE_DIRECTORY } from './state.ts';
import type { Victim } from './victim.ts';

/** The directory in which netfilter-persistent saves rules. */
export const SAVED_RULES = '/etc/iptables';

const savedAs = (name: string): string => `/run/saved-${name.replaceAll(/[^\w,. -]/g, '-')}`;
const SAVE = `set -e; mkdir -p "$1/files"
  for path in "\${@:2}"; do if [[ -e $path ]]; then (cd / && cp -a --parents "\${path#/}" "$1/files"); fi; done
  cd "$1"; iptables-save >four; ip6tables-save >six; ipset save >sets
  nft list table inet firewall_drop >table 2>/dev/null || : >table`;
const LOAD = `set -e; cd "$1"; for each in files/*; do [[ ! -e $each ]] || cp -a "$each/." "/\${each#*/}/"; done
  ipset restore <sets; iptables-restore <four; ip6tables-restore <six; nft -f table`;

/**
 * Saves the host. No change must be pending, because it refers to the response log by an inode, which a copy does not
 * keep.
 */
export function saveSnapshot({ agent, host }: Victim, name: string): void {
  const files = [STATE_DIRECTORY, '/etc/firewall-drop', SAVED_RULES, `${agent.home}/logs`];
  host.must(['bash', '-c', SAVE, 'save', savedAs(name), ...files]);
}

/** Loads a snapshot after a reset. Returns false if there is none of this name. */
export function loadSnapshot({ host }: Victim, name: string): boolean {
  if (!host.exists(savedAs(name))) return false;
  host.must(['bash', '-c', LOAD, 'load', savedAs(name)]);
  return true;
}
