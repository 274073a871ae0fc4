// Which backend tells the kernel.
import type { Backend } from './backend.ts';
import { createIpset } from './ipset.ts';
import { createIptables } from './iptables.ts';

/** What the configuration says of the firewall. */
export interface FirewallConfig {
  readonly backend: 'iptables' | 'ipset';
  readonly variant: 'auto' | 'nft' | 'legacy';
  readonly chains: readonly string[];
  readonly docker: boolean;
  readonly lockWaitSeconds: number;
  readonly setName: string;
  readonly maxEntries: number;
}

export function chooseBackend(config: FirewallConfig): Backend {
  const options = { ...config, optionalChains: config.docker ? ['DOCKER-USER'] : [] };
  return config.backend === 'ipset' ? createIpset(options) : createIptables(options);
}
