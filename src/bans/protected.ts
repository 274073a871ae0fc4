// Ends bans on addresses that have become protected since: an address of the host's own, a gateway or manager that moved.
import { isSingle } from '../model/address.ts';
import { alertRefAt, isForced, type Ban } from '../model/ban.ts';
import type { ProtectedEntry } from '../policy/protected.ts';
import type { BanContext } from './context.ts';
import { unblockAll } from './unblock.ts';

/**
 * Releases them, but for those that a person forced, and returns their bans. Looks for single addresses alone, which costs
 * the same however many bans there are; `restore` looks at networks too. Throws `FIREWALL` as a release does.
 */
export function releaseProtected(entries: readonly ProtectedEntry[], context: BanContext): Ban[] {
  const addresses = entries.map(({ network }) => network).filter(isSingle);
  const bans = context.store.bans.blockedAmong(addresses).filter((ban) => !isForced(ban));
  if (bans.length === 0) return [];
  const released = bans.map(({ address }) => address);
  context.warn(`protected by now, and released: ${released.map(({ text }) => text).join(', ')}`);
  unblockAll(released, { origin: null, alertRef: alertRefAt(context.now()) }, context);
  return bans;
}
