// What becomes of the connections that a blocked address has open: its rule stops them, and where that is wished the
// kernel forgets them too. The address is blocked by then, so a failure is reported and stops nothing.
import { describeError } from '../model/errors.ts';
import { CONNTRACK, cutConnections, type CutContext } from '../firewall/conntrack.ts';
import type { Store } from '../state/store.ts';
import type { Address } from '../model/address.ts';

export interface ConnectionContext extends CutContext {
  readonly store: Store;
  readonly warn: (message: string) => void;
  readonly isInstalled: (program: string) => boolean;
}

/** Metadata: not empty while it is known, and was reported, that the program is missing. */
const REPORTED_MISSING = 'conntrack missing';

export function forgetConnections(addresses: readonly Address[], context: ConnectionContext): void {
  if (addresses.length === 0 || isMissing(context)) return;
  try {
    cutConnections(addresses, context);
  } catch (error) {
    context.warn(
      `blocked, and connections that were open may still be tracked: ${describeError(error)}`,
    );
  }
}

/** Reported at the first block alone: every alert would report the same. */
function isMissing({ store, warn, isInstalled }: ConnectionContext): boolean {
  const missing = !isInstalled(CONNTRACK);
  if (missing && !store.metadata.get(REPORTED_MISSING)) {
    warn(
      `firewall.kill_connections is true and ${CONNTRACK} is not installed: open connections stay tracked; packets are dropped all the same`,
    );
  }
  if (missing !== Boolean(store.metadata.get(REPORTED_MISSING)))
    store.metadata.set(REPORTED_MISSING, missing ? 'yes' : '');
  return missing;
}
