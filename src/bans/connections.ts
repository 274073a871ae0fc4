// Removes the open connections of blocked addresses from connection tracking, if that is configured. The addresses are
// already blocked, so a failure is only reported.
import { describeError } from '../model/errors.ts';
import { CONNTRACK, cutConnections, type CutContext } from '../firewall/conntrack.ts';
import type { Store } from '../state/store.ts';
import type { Address } from '../model/address.ts';

export interface ConnectionContext extends CutContext {
  readonly store: Store;
  readonly warn: (message: string) => void;
  readonly isInstalled: (program: string) => boolean;
}

/** Metadata: not empty if the missing program has been reported. */
const REPORTED_MISSING = 'conntrack missing';

export function forgetConnections(addresses: readonly Address[], context: ConnectionContext): void {
  if (addresses.length === 0 || isMissing(context)) return;
  try {
    cutConnections(addresses, context);
  } catch (error) {
    context.warn(`blocked, but open connections may still be tracked: ${describeError(error)}`);
  }
}

/** Reports whether the program is missing. Warns only once, because every alert would repeat the warning. */
function isMissing({ store, warn, isInstalled }: ConnectionContext): boolean {
  const missing = !isInstalled(CONNTRACK);
  if (missing && !store.metadata.get(REPORTED_MISSING)) {
    warn(
      `firewall.kill_connections is true and ${CONNTRACK} is not installed: open connections stay tracked, although their packets are dropped`,
    );
  }
  if (missing !== Boolean(store.metadata.get(REPORTED_MISSING)))
    store.metadata.set(REPORTED_MISSING, missing ? 'yes' : '');
  return missing;
}
