// Ends bans on addresses that have become protected, such as a new address of the host, gateway or manager.
import { isSingle } from '../model/address.ts';
import { alertRefAt, isForced, type Ban } from '../model/ban.ts';
import type { ProtectedEntry } from '../policy/protected.ts';
import type { BanContext } from './context.ts';
import { unblockAll } from './unblock.ts';

/**
 * Unblocks protected addresses unless a person forced the ban. Returns their bans. Checks only single addresses, which
 * takes the same time for any number of bans; `restore` checks networks too. Throws `FIREWALL` as a release does.
 */
export function releaseProtected(entries: readonly ProtectedEntry[], context: BanContext): Ban[] {
  const addresses = entries.map(({ network }) => network).filter(isSingle);
  const bans = context.store.bans.blockedAmong(addresses).filter((ban) => !isForced(ban));
  if (bans.length === 0) return [];
  const released = bans.map(({ address }) => address);
  context.warn(
    `unblocking addresses that are protected now: ${released.map(({ text }) => text).join(', ')}`,
  );
  unblockAll(released, { origin: null, alertRef: alertRefAt(context.now()) }, context);
  return bans;
}
