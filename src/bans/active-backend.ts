// Determines the active backend and opens the firewall. Remembers the chains, the set name and the iptables variant
// that the rules of current bans use. A change of the configuration does not lose these rules: as long as there are
// bans, chains that were removed from it keep their rules, and set name and variant stay.
import type { Config } from '../config/schema.ts';
import { createFirewall, type Firewall, type FirewallContext } from '../firewall/apply.ts';
import {
  chooseBackend,
  createBackend,
  setBackends,
  type BackendName,
  type Choice,
  optionalChainsOf,
  type FirewallConfig,
  createSwitchableFirewall,
  type SwitchableFirewall,
} from '../firewall/select.ts';
import type { Family } from '../model/address.ts';
import type { Store } from '../state/store.ts';
import { findProgram, run } from '../system/exec.ts';
import { isIpv6Absent } from '../system/net.ts';
import { sleep } from '../system/wait.ts';

export function isInstalled(program: string): boolean {
  return findProgram(program) !== null;
}

export function chooseActive({ firewall }: Config, store: Store): Choice {
  return chooseBackend(firewall, {
    active: store.metadata.get(ACTIVE_BACKEND),
    hasBans: () => store.bans.count() > 0,
    isInstalled,
  });
}

/**
 * Returns the backend whose sets drop packets although no active backend is recorded, because the state was lost or
 * can't be read. It then becomes the active backend; otherwise its entries would stay blocked and no command would show
 * or unblock them. Returns null if there are no such sets, or if the state or the configuration names a backend.
 */
export function findActiveSets(
  { by, name }: Choice,
  store: Store,
  open: (name: BackendName) => Firewall,
): BackendName | null {
  if (store.metadata.get(ACTIVE_BACKEND) !== null || by !== 'auto') return null;
  return findOtherSets(name, open, isInstalled);
}

/** Returns a backend other than the active one whose sets drop packets; null if there is none. */
export function findOtherSets(
  active: string,
  open: (name: BackendName) => Firewall,
  isInstalledHere: (program: string) => boolean,
): BackendName | null {
  const others = setBackends(isInstalledHere).filter((name) => name !== active);
  return others.find((name) => dropsBySets(open(name))) ?? null;
}

function dropsBySets(backend: Firewall): boolean {
  const drops = (family: Family): boolean => {
    return backend.snapshot(family).rules.some(({ dropsSet }) => dropsSet !== undefined);
  };
  try {
    return backend.holdsOurSets() && ([4, 6] as const).some(drops);
  } catch {
    // A backend that can't be inspected holds nothing that we could unblock.
    return false;
  }
}

interface OpenOptions extends Pick<FirewallContext, 'deadline' | 'isWorkShared'> {
  readonly isShown: boolean;
}

/**
 * Opens the firewall of the active backend. With `isShown`, commands that show the kernel to a person also find sets of
 * a backend that no run could record.
 */
export function openFirewall(
  config: Config,
  store: Store,
  { deadline, isShown, isWorkShared }: OpenOptions,
): SwitchableFirewall {
  const open = (name: BackendName): Firewall => {
    return createFirewall({
      backend: createBackend(name, withPlaces(config.firewall, store, isInstalled)),
      run,
      sleep,
      deadline,
      isIpv6Absent,
      isWorkShared,
      programTimeoutSeconds: config.firewall.programTimeoutSeconds,
      extras: (family) => (store.metadata.getJson(`extras ${family}`) ?? []) as string[],
      noteExtras: (family, extras) => {
        store.metadata.set(`extras ${family}`, JSON.stringify(extras));
      },
    });
  };
  return createSwitchableFirewall(open, () => {
    const choice = chooseActive(config, store);
    return (isShown ? findActiveSets(choice, store, open) : null) ?? choice.name;
  });
}

/** Metadata: the active backend. */
export const ACTIVE_BACKEND = 'backend';
/** Metadata: the `Places` of the current bans. */
const PLACES = 'places of rules';

type Places = Pick<FirewallConfig, 'chains' | 'setName' | 'variant'>;

type PlacesStore = Pick<Store, 'bans' | 'metadata'>;

/** Returns the configuration that applies to the current bans. A variant that is no longer installed holds none. */
export function withPlaces(
  config: FirewallConfig,
  store: PlacesStore,
  isInstalled: (program: string) => boolean,
): FirewallConfig {
  const known = otherPlaces(config, store);
  if (known === null) return config;
  const { setName, chains, variant } = known;
  const isVariantInstalled = variant === 'auto' || isInstalled(`iptables-${variant}-restore`);
  return {
    ...config,
    setName,
    formerChains: chains,
    variant: isVariantInstalled ? variant : config.variant,
  };
}

/**
 * Records the places. Must be called before bans are changed. With the first ban, the places are those of the
 * configuration.
 */
export function notePlaces(config: FirewallConfig, store: PlacesStore): void {
  const now = placesOf(config);
  const known = otherPlaces(config, store);
  const chains = [...new Set([...now.chains, ...(known?.chains ?? [])])];
  store.metadata.set(PLACES, JSON.stringify({ ...now, ...known, chains }));
}

function placesOf({ chains, docker, setName, variant }: FirewallConfig): Places {
  return { chains: [...chains, ...optionalChainsOf({ docker })], setName, variant };
}

/** Returns the recorded places if they differ from the configuration; null if they do not or there are no bans. */
function otherPlaces(config: FirewallConfig, { bans, metadata }: PlacesStore): Places | null {
  const isSame = metadata.get(PLACES) === JSON.stringify(placesOf(config));
  return isSame || bans.count() === 0 ? null : (metadata.getJson(PLACES) as Places | null);
}
