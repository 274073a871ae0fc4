// Which backend blocks.
import type { Config } from '../config/schema.ts';
import type { Backend } from './backend.ts';
import { createIpset } from './ipset/plan.ts';
import { createIptables } from './iptables/plan.ts';
import { createNftables } from './nftables/plan.ts';

/** What makes each, and what it can't do without. */
const BACKENDS = {
  iptables: { create: createIptables, programs: ['iptables-restore'] },
  ipset: { create: createIpset, programs: ['ipset', 'iptables-restore'] },
  nftables: { create: createNftables, programs: ['nft'] },
} as const;

export type BackendName = keyof typeof BACKENDS;
export const BACKEND_NAMES = Object.keys(BACKENDS) as readonly BackendName[];

export type FirewallConfig = Config['firewall'] & {
  /** Chains that an earlier configuration named: they get rules where they exist. */
  readonly formerChains?: readonly string[];
};

export interface Choice {
  /** The active backend. */
  readonly name: BackendName;
  /** The backend that shall hold all bans; another one than `name` where a migration is due. */
  readonly wanted: BackendName;
  /** Who says so: the configuration, or what `auto` finds on this host. */
  readonly by: 'config' | 'auto';
}

export interface Situation {
  /** The backend that holds the bans; null: none is recorded. */
  readonly active: string | null;
  /** Asked by `auto` alone. */
  readonly hasBans: () => boolean;
  readonly isInstalled: (program: string) => boolean;
}

/**
 * Only the backend that made a block can end it, so the one that holds the bans stays active until all of them were
 * migrated. `auto` migrates nothing back: sets stay until everything is unblocked.
 */
export function chooseBackend({ backend }: FirewallConfig, situation: Situation): Choice {
  const active = backendNamed(situation.active);
  if (backend !== 'auto') return choice(backend, 'config', active);
  const usable = active === null ? null : stillUsable(active, situation);
  return choice(usable ?? firstChoice(situation.isInstalled), 'auto', active);
}

/** Bans of a state that was never written are in the backend that is wanted: none of them was migrated. */
function choice(wanted: BackendName, by: Choice['by'], active: BackendName | null): Choice {
  return { name: active ?? wanted, wanted, by };
}

/** A tool may have been removed from the host; with nothing blocked, another one does as well. */
function stillUsable(active: BackendName, { hasBans, isInstalled }: Situation): BackendName | null {
  return isBackendInstalled(active, isInstalled) || hasBans() ? active : null;
}

/** Plain rules, which runbooks expect; and a table of our own where there are no iptables at all. */
function firstChoice(isInstalled: Situation['isInstalled']): BackendName {
  return !isBackendInstalled('iptables', isInstalled) && isBackendInstalled('nftables', isInstalled)
    ? 'nftables'
    : 'iptables';
}

/** The sets that `auto` may migrate bans to, the best first. */
export function setBackends(isInstalled: (program: string) => boolean): BackendName[] {
  return (['ipset', 'nftables'] as const).filter((name) => isBackendInstalled(name, isInstalled));
}

export function isBackendInstalled(
  name: BackendName,
  isInstalled: (program: string) => boolean,
): boolean {
  return BACKENDS[name].programs.every(isInstalled);
}

export function backendNamed(name: string | null): BackendName | null {
  return BACKEND_NAMES.find((known) => known === name) ?? null;
}

export function createBackend(name: BackendName, config: FirewallConfig): Backend {
  const optionalChains = optionalChainsOf(config).filter((chain) => !config.chains.includes(chain));
  return BACKENDS[name].create({ ...config, optionalChains });
}

/** Chains that get our rules only where they exist. */
export function optionalChainsOf({
  docker,
  formerChains = [],
}: Pick<FirewallConfig, 'docker' | 'formerChains'>): readonly string[] {
  return [...new Set([...(docker ? ['DOCKER-USER'] : []), ...formerChains])];
}
