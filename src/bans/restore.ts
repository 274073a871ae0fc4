// Loads all bans into the kernel, after a reboot or a flush.
import type { Address } from '../model/address.ts';
import { alertRefAt, isForced, type Ban } from '../model/ban.ts';
import type { BanContext } from './context.ts';
import { forEachFamily, runAll } from '../model/parts.ts';
import { RESTORING } from './journal.ts';
import { load } from './load.ts';
import { remember } from './migrate.ts';
import { unblockAll } from './unblock.ts';

export interface RestoreOutcome {
  /** The bans that the kernel now holds. */
  readonly blocked: readonly Ban[];
  /** The bans that were ended because their address has become protected. */
  readonly released: readonly Ban[];
  /** True if the kernel had to be changed for `blocked`. */
  readonly changed: boolean;
}

/**
 * Makes the kernel hold every ban of the state. Ends bans on addresses that have become protected, such as a gateway
 * that moved, unless a person forced them. Throws `FIREWALL` after all parts were processed.
 */
export function restore(
  context: BanContext,
  isProtected: (address: Address) => boolean,
): RestoreOutcome {
  remember(context.store, RESTORING, 'yes');
  const bans = context.store.bans.list().filter((ban) => ban.phase === 'blocked');
  const released = bans.filter((ban) => !isForced(ban) && isProtected(ban.address));
  const isReleased = new Set(released);
  const blocked = bans.filter((ban) => !isReleased.has(ban));
  let changed = false;
  runAll([
    () => {
      forEachFamily(blocked, (own) => {
        if (load(own, context).every(({ outcome }) => outcome === 'unchanged')) return;
        changed = true;
        context.cutConnections(own.map(({ address }) => address));
      });
    },
    () => {
      const addresses = released.map(({ address }) => address);
      unblockAll(addresses, { origin: null, alertRef: alertRefAt(context.now()) }, context);
    },
  ]);
  context.store.metadata.set(RESTORING, '');
  return { blocked, released, changed };
}
