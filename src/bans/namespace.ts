// Binds the state to one network namespace. A run in another namespace would release bans whose rules it can't see.
import { AppError } from '../model/errors.ts';
import type { Store } from '../state/store.ts';
import { HOST_PID_NAMESPACE, type Whereabouts } from '../system/procfs.ts';

const METADATA = 'network namespace';

export interface NamespaceContext {
  readonly store: Store;
  readonly here: Whereabouts;
  /** Describes the processes seen in another network namespace; null if there are none. */
  readonly inhabitantOf: (net: string) => string | null;
}

/**
 * Records the network namespace of the state. If the recorded one is gone, with its boot or its container, the state
 * moves to this one, and `restore` loads the bans here. Throws `FIREWALL` if the recorded one still exists. Returns a
 * message for the user; an empty string if there is none.
 */
export function claimNamespace(context: NamespaceContext): string {
  const { store, here } = context;
  const elsewhere = findOtherNamespace(context);
  if (elsewhere !== null) throw new AppError('FIREWALL', elsewhere);
  const noted = notedIn(store);
  store.metadata.set(METADATA, JSON.stringify(here));
  if (noted?.bootId !== here.bootId || noted.net === here.net) return '';
  return `the network namespace ${noted.net} is gone, so the state now belongs to ${here.net}: run firewall-drop restore to load its bans`;
}

/** Explains why the state must not be changed from this namespace; null if it can be changed. */
export function findOtherNamespace({ store, here, inhabitantOf }: NamespaceContext): string | null {
  const noted = notedIn(store);
  if (noted === null || noted.net === here.net) return null;
  // Namespaces do not outlive a boot.
  if (noted.bootId !== here.bootId) return null;
  const who = isHiddenHost(noted, here) ? 'of the host' : inhabitantOf(noted.net);
  if (who === null) return null;
  return `nothing was changed: the state belongs to the network namespace ${noted.net} (${who}), but this is ${here.net}; run firewall-drop there (nsenter, ip netns exec), or give each namespace its own /var/lib/firewall-drop`;
}

/**
 * Reports whether the recorded namespace is that of the host and this one of a container, which can't see the processes
 * of the host.
 */
function isHiddenHost(noted: Whereabouts, here: Whereabouts): boolean {
  return noted.pid === HOST_PID_NAMESPACE && here.pid !== HOST_PID_NAMESPACE;
}

function notedIn(store: Store): Whereabouts | null {
  const noted = store.metadata.getJson(METADATA) as Partial<Whereabouts> | null;
  const { bootId, net, pid } = noted ?? {};
  // Incomplete because it was recorded without /proc.
  if (!bootId || !net || pid === undefined) return null;
  return { bootId, net, pid };
}
