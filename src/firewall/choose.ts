// Which backend tells the kernel.
import type { Backend } from './backend.ts';
import { createIpset } from './ipset.ts';
import { createIptables } from './iptables.ts';
import { createNftables } from './nftables.ts';

export type BackendName = 'iptables' | 'ipset' | 'nftables';

/** What the configuration says of the firewall. */
export interface FirewallConfig {
  readonly backend: 'auto' | BackendName;
  readonly variant: 'auto' | 'nft' | 'legacy';
  readonly chains: readonly string[];
  readonly docker: boolean;
  readonly lockWaitSeconds: number;
  readonly setName: string;
  readonly maxEntries: number;
}

export interface Choice {
  readonly name: BackendName;
  /** Whether what the books hold was made by this backend. */
  readonly isMaker: boolean;
  /** Why the one that the configuration names is not used; empty when it is. */
  readonly objection: string;
}

/**
 * Only the backend that made a block can release it, and ipset knows plain rules too. So others take over once nothing is
 * blocked. `maker` is the one that the books were last seen to be held by; null: they are older than the choice.
 */
export function chooseName(
  { backend }: FirewallConfig,
  maker: string | null,
  hasBans: () => boolean,
): Choice {
  const wanted = backend === 'auto' ? 'iptables' : backend;
  const current = NAMES.find((name) => name === maker) ?? 'iptables';
  if (current === wanted || !hasBans()) return { name: wanted, isMaker: true, objection: '' };
  if (current === 'iptables' && wanted === 'ipset') {
    return { name: wanted, isMaker: false, objection: '' };
  }
  const objection = `what is blocked is held by ${current}: firewall.backend = "${backend}" takes effect once it is released (firewall-drop flush)`;
  return { name: current, isMaker: true, objection };
}

const NAMES: readonly BackendName[] = ['iptables', 'ipset', 'nftables'];

export function createBackend(name: BackendName, config: FirewallConfig): Backend {
  const options = { ...config, optionalChains: config.docker ? ['DOCKER-USER'] : [] };
  switch (name) {
    case 'iptables':
      return createIptables(options);
    case 'ipset':
      return createIpset(options);
    case 'nftables':
      return createNftables(options);
  }
}
