// Where the rules of the bans are. A change of the configuration does not lose them: until nothing is banned, a chain that
// was left out keeps its rules, and sets and program stay the same.
import { optionalChainsOf, type FirewallConfig } from '../firewall/select.ts';
import type { Store } from '../state/store.ts';

/** Metadata: the active backend. */
export const ACTIVE_BACKEND = 'backend';
/** Metadata: `Places` of the bans that there are. */
const PLACES = 'places of rules';

type Places = Pick<FirewallConfig, 'chains' | 'setName' | 'variant'>;

type PlacesStore = Pick<Store, 'bans' | 'metadata'>;

/** The configuration as it applies to the bans that there are. A variant that was removed from the host holds none. */
export function withPlaces(
  config: FirewallConfig,
  store: PlacesStore,
  isInstalled: (program: string) => boolean,
): FirewallConfig {
  const known = otherPlaces(config, store);
  if (known === null) return config;
  const { setName, chains, variant } = known;
  const isThere = variant === 'auto' || isInstalled(`iptables-${variant}-restore`);
  return {
    ...config,
    setName,
    formerChains: chains,
    variant: isThere ? variant : config.variant,
  };
}

/** To be called before bans are changed: with the first one the places are those of the configuration. */
export function notePlaces(config: FirewallConfig, store: PlacesStore): void {
  const now = placesOf(config);
  const known = otherPlaces(config, store);
  const chains = [...new Set([...now.chains, ...(known?.chains ?? [])])];
  store.metadata.set(PLACES, JSON.stringify({ ...now, ...known, chains }));
}

function placesOf({ chains, docker, setName, variant }: FirewallConfig): Places {
  return { chains: [...chains, ...optionalChainsOf({ docker })], setName, variant };
}

/** Null where there are no bans, or where all of them are where the configuration has them. */
function otherPlaces(config: FirewallConfig, { bans, metadata }: PlacesStore): Places | null {
  const isSame = metadata.get(PLACES) === JSON.stringify(placesOf(config));
  return isSame || bans.count() === 0 ? null : (metadata.getJson(PLACES) as Places | null);
}
