// Loads all bans into the kernel, after a reboot or somebody's flush.
import type { Address } from '../model/address.ts';
import { alertRefAt, isForced, type Ban } from '../model/ban.ts';
import type { BanContext } from './context.ts';
import { forEachFamily, inTurn } from './families.ts';
import { load } from './load.ts';
import { unblockAll } from './unblock.ts';

export interface RestoreOutcome {
  /** Bans that the kernel now holds as the state does. */
  readonly blocked: readonly Ban[];
  /** Bans on addresses that have become protected, and were ended. */
  readonly released: readonly Ban[];
  /** Whether the kernel had to be changed for the ones that stay. */
  readonly changed: boolean;
}

/**
 * Makes the kernel hold every ban of the state. A ban on an address that has become protected is ended instead, so
 * that an old ban does not block a gateway that moved, unless a person forced it. Throws `FIREWALL` once each part
 * had its turn.
 */
export function restore(
  context: BanContext,
  isProtected: (address: Address) => boolean,
): RestoreOutcome {
  const bans = context.store.bans.list().filter((ban) => ban.phase === 'blocked');
  const released = bans.filter((ban) => !isForced(ban) && isProtected(ban.address));
  const isReleased = new Set(released);
  const blocked = bans.filter((ban) => !isReleased.has(ban));
  let changed = false;
  inTurn([
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
  return { blocked, released, changed };
}
