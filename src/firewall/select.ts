// Chooses and creates the backend.
import type { Backend } from './backend.ts';
import { createIpset } from './ipset/plan.ts';
import { createIptables } from './iptables/plan.ts';
import { createNftables } from './nftables/plan.ts';

export type BackendName = 'iptables' | 'ipset' | 'nftables';

/** The firewall settings of the configuration. */
export interface FirewallConfig {
  readonly backend: 'auto' | BackendName;
  readonly variant: 'auto' | 'nft' | 'legacy';
  readonly chains: readonly string[];
  readonly docker: boolean;
  /** Chains of an earlier configuration, which get rules if they exist. */
  readonly formerChains?: readonly string[];
  readonly lockWaitSeconds: number;
  readonly setName: string;
  /** The number of bans above which `auto` migrates to sets. */
  readonly promoteAt: number;
  readonly maxEntries: number;
}

export interface Choice {
  /** The active backend. */
  readonly name: BackendName;
  /** The backend that must hold all bans. It differs from `name` if a migration is due. */
  readonly wanted: BackendName;
  /** The source of `wanted`: the configuration, or `auto` on this host. */
  readonly by: 'config' | 'auto';
}

export interface Situation {
  /** The recorded active backend; null if none is recorded. */
  readonly active: string | null;
  /** Reports whether there are bans. Only `auto` calls it. */
  readonly hasBans: () => boolean;
  readonly isInstalled: (program: string) => boolean;
}

/**
 * Chooses the backend. Only the backend that made a block can remove it, so the active backend stays active until all
 * bans are migrated. `auto` never migrates back: sets stay until everything is unblocked.
 */
export function chooseBackend({ backend }: FirewallConfig, situation: Situation): Choice {
  const active = backendNamed(situation.active);
  if (backend !== 'auto') return choice(backend, 'config', active);
  const usable = active === null ? null : stillUsable(active, situation);
  return choice(usable ?? firstChoice(situation.isInstalled), 'auto', active);
}

/** Without a recorded active backend, bans are in the wanted backend, because none was migrated. */
function choice(wanted: BackendName, by: Choice['by'], active: BackendName | null): Choice {
  return { name: active ?? wanted, wanted, by };
}

/**
 * Returns null if the programs of the active backend were removed from the host and there are no bans. Another backend
 * can then be used.
 */
function stillUsable(active: BackendName, { hasBans, isInstalled }: Situation): BackendName | null {
  return PROGRAMS[active].every(isInstalled) || hasBans() ? active : null;
}

/** Returns plain rules, which runbooks expect, or a table of nftables if the host has only nftables. */
function firstChoice(isInstalled: Situation['isInstalled']): BackendName {
  return !isBackendInstalled('iptables', isInstalled) && isBackendInstalled('nftables', isInstalled)
    ? 'nftables'
    : 'iptables';
}

/** Returns the installed set backends that `auto` can migrate to, the best first. */
export function setBackends(isInstalled: (program: string) => boolean): BackendName[] {
  return (['ipset', 'nftables'] as const).filter((name) => isBackendInstalled(name, isInstalled));
}

export function isBackendInstalled(
  name: BackendName,
  isInstalled: (program: string) => boolean,
): boolean {
  return PROGRAMS[name].every(isInstalled);
}

/** The programs that each backend requires. */
const PROGRAMS: Readonly<Record<BackendName, readonly string[]>> = {
  iptables: ['iptables-restore'],
  ipset: ['ipset', 'iptables-restore'],
  nftables: ['nft'],
};

export function backendNamed(name: string | null): BackendName | null {
  return BACKEND_NAMES.find((known) => known === name) ?? null;
}

export const BACKEND_NAMES: readonly BackendName[] = ['iptables', 'ipset', 'nftables'];

export function createBackend(name: BackendName, config: FirewallConfig): Backend {
  const optionalChains = optionalChainsOf(config).filter((chain) => !config.chains.includes(chain));
  const options = { ...config, optionalChains };
  switch (name) {
    case 'iptables':
      return createIptables(options);
    case 'ipset':
      return createIpset(options);
    case 'nftables':
      return createNftables(options);
  }
}

/** Returns the chains that get our rules only if they exist. */
export function optionalChainsOf({
  docker,
  formerChains = [],
}: Pick<FirewallConfig, 'docker' | 'formerChains'>): readonly string[] {
  return [...new Set([...(docker ? ['DOCKER-USER'] : []), ...formerChains])];
}
