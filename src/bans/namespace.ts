// The state speaks of the kernel of one network namespace: changed from another one, it would leave rules without a ban.
import { AppError } from '../model/errors.ts';
import type { Store } from '../state/store.ts';
import { HOST_PID_NAMESPACE, type Whereabouts } from '../system/namespaces.ts';

const METADATA = 'network namespace';

export interface NamespaceContext {
  readonly store: Store;
  readonly here: Whereabouts;
  /** Who is in another namespace, in words; null: nobody that can be seen. */
  readonly inhabitantOf: (net: string) => string | null;
}

/**
 * Notes in which namespace the state is used. One that is gone, with its boot or its container, hands the state over, and
 * `restore` loads the bans here. Throws `FIREWALL` where it is still there. Returns what somebody should know; empty:
 * nothing.
 */
export function claimNamespace(context: NamespaceContext): string {
  const { store, here } = context;
  const elsewhere = findOtherNamespace(context);
  if (elsewhere !== null) throw new AppError('FIREWALL', elsewhere);
  const noted = notedIn(store);
  store.metadata.set(METADATA, JSON.stringify(here));
  if (noted?.bootId !== here.bootId || noted.net === here.net) return '';
  return `the network namespace ${noted.net} is gone, and the state is used in ${here.net} now: firewall-drop restore loads its bans`;
}

/** Why nothing may be changed from here, in words; null: it may. */
export function findOtherNamespace({ store, here, inhabitantOf }: NamespaceContext): string | null {
  const noted = notedIn(store);
  if (noted === null || noted.net === here.net) return null;
  // After a boot every namespace is another one.
  if (noted.bootId !== here.bootId) return null;
  const who = isHiddenHost(noted, here) ? 'of the host' : inhabitantOf(noted.net);
  if (who === null) return null;
  return `nothing was changed: the state is that of the network namespace ${noted.net} (${who}), and this is ${here.net}; run firewall-drop there (nsenter, ip netns exec), or give each a /var/lib/firewall-drop of its own`;
}

/** From a container the processes of the host can't be seen, and they are there. */
function isHiddenHost(noted: Whereabouts, here: Whereabouts): boolean {
  return noted.pid === HOST_PID_NAMESPACE && here.pid !== HOST_PID_NAMESPACE;
}

function notedIn(store: Store): Whereabouts | null {
  const noted = store.metadata.getJson(METADATA) as Partial<Whereabouts> | null;
  const { bootId, net, pid } = noted ?? {};
  // Written where there was no /proc: it says nothing.
  if (!bootId || !net || pid === undefined) return null;
  return { bootId, net, pid };
}
