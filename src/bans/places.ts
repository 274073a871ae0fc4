// Remembers the chains, the set name and the iptables variant that the rules of current bans use. A change of the
// configuration does not lose these rules: as long as there are bans, chains that were removed from it keep their
// rules, and set name and variant stay.
import { optionalChainsOf, type FirewallConfig } from '../firewall/select.ts';
import type { Store } from '../state/store.ts';

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
