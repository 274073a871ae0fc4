// Chooses and creates the backend. The firewall can change its backend during a run, and uses two backends during a
// migration.
import type { Config } from '../config/schema.ts';
import type * as Ipset from './ipset/plan.ts';
import { createIptables } from './iptables/plan.ts';
import type * as Nftables from './nftables/plan.ts';
import { step } from '../system/fault.ts';
import type { ApplyOptions, ApplyResult, Firewall } from './apply.ts';
import type { Backend, Change } from './backend.ts';
import type { Comparison } from './run.ts';

/** The backends: the function that creates each, and the programs that it requires. */
const BACKENDS = {
  iptables: { create: createIptables, programs: ['iptables-restore'] },
  ipset: {
    create: (options: Ipset.IpsetOptions): Backend =>
      (require('./ipset/plan.ts') as typeof Ipset).createIpset(options),
    programs: ['ipset', 'iptables-restore'],
  },
  nftables: {
    create: (options: Nftables.NftablesOptions): Backend =>
      (require('./nftables/plan.ts') as typeof Nftables).createNftables(options),
    programs: ['nft'],
  },
} as const;

export type BackendName = keyof typeof BACKENDS;
export const BACKEND_NAMES = Object.keys(BACKENDS) as readonly BackendName[];

/** The firewall settings of the configuration. */
export type FirewallConfig = Config['firewall'] & {
  /** Chains of an earlier configuration, which get rules if they exist. */
  readonly formerChains?: readonly string[];
};

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
  return isBackendInstalled(active, isInstalled) || hasBans() ? active : null;
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
  return BACKENDS[name].programs.every(isInstalled);
}

export function backendNamed(name: string | null): BackendName | null {
  return BACKEND_NAMES.find((known) => known === name) ?? null;
}

export function createBackend(name: BackendName, config: FirewallConfig): Backend {
  const optionalChains = optionalChainsOf(config).filter((chain) => !config.chains.includes(chain));
  return BACKENDS[name].create({ ...config, optionalChains });
}

/** Returns the chains that get our rules only if they exist. */
export function optionalChainsOf({
  docker,
  formerChains = [],
}: Pick<FirewallConfig, 'docker' | 'formerChains'>): readonly string[] {
  return [...new Set([...(docker ? ['DOCKER-USER'] : []), ...formerChains])];
}

export interface SwitchableFirewall extends Firewall {
  /** Returns the firewall of one backend, active or not. */
  of(name: BackendName): Firewall;
  /**
   * Makes `name` the active backend, in the places that the state has now. During a pending migration, `other` may hold
   * some of the bans too: releases then go to both backends, and neither is assumed to match the state.
   */
  use(name: BackendName, other: BackendName | null): void;
}

/** Creates a firewall that calls `first` for the active backend if none was set with `use` before it is needed. */
export function createSwitchableFirewall(
  open: (name: BackendName) => Firewall,
  first: () => BackendName,
): SwitchableFirewall {
  let opened: Firewall | null = null;
  const current = (): Firewall => (opened ??= open(first()));
  let other: Firewall | null = null;
  return {
    get backendName() {
      return current().backendName;
    },
    get mostReleases() {
      return Math.min(current().mostReleases, other?.mostReleases ?? Infinity);
    },
    apply: (changes, options) => {
      return other === null
        ? current().apply(changes, options)
        : applyToBoth(current(), other, changes, options);
    },
    compare: (changes) => {
      return other === null ? current().compare(changes) : compareBoth(current(), other, changes);
    },
    plan: (changes) => current().plan(changes),
    snapshot: (family) => current().snapshot(family),
    checkUsable: () => {
      current().checkUsable();
    },
    holdsOurSets: () => current().holdsOurSets(),
    removeAll: (releases) => {
      current().removeAll(releases);
      other?.removeAll(releases);
    },
    of: open,
    use(name, next) {
      opened = open(name);
      other = next === null ? null : open(next);
    },
  };
}

function applyToBoth(
  current: Firewall,
  other: Firewall,
  changes: readonly Change[],
  options: ApplyOptions,
): ApplyResult {
  const result = current.apply(changes, { ...options, trustState: false });
  step('migrate: active backend changed');
  const { outcome } = other.apply(releasesIn(changes), { ...options, trustState: false });
  return outcome === 'changed' ? { ...result, outcome } : result;
}

function compareBoth(current: Firewall, other: Firewall, changes: readonly Change[]): Comparison {
  const comparison = current.compare(changes);
  const missing = [...comparison.missing, ...other.compare(releasesIn(changes)).missing];
  return { ...comparison, missing: [...new Set(missing)] };
}

function releasesIn(changes: readonly Change[]): Change[] {
  return changes.filter(({ to }) => to === 'released');
}
