// Ends bans on addresses that have become protected since: an address of the host's own, a gateway or manager that moved.
import { isSingle } from '../model/address.ts';
import { alertRefAt, isForced, type Ban } from '../model/ban.ts';
import { findProtection, type ProtectedEntry } from '../policy/protected.ts';
import type { BanContext } from './context.ts';
import { unblockAll } from './unblock.ts';

/**
 * Releases them, but for those that a person forced, and returns their bans. Looks for single addresses, which costs the same
 * however many bans there are, and only for `networks` at each ban. `restore` looks at networks of every source. Throws
 * `FIREWALL` as a release does.
 */
export function releaseProtected(
  entries: readonly ProtectedEntry[],
  context: BanContext,
  networks: readonly ProtectedEntry[] = [],
): Ban[] {
  const stored = context.store.bans;
  const singles = entries.map(({ network }) => network).filter(isSingle);
  const banned = networks.length === 0 ? [] : stored.heldBy(null);
  const inside = banned.filter((address) => findProtection(address, networks) !== null);
  const bans = stored.blockedAmong([...singles, ...inside]).filter((ban) => !isForced(ban));
  if (bans.length === 0) return [];
  const released = bans.map(({ address }) => address);
  context.warn(`protected by now, and released: ${released.map(({ text }) => text).join(', ')}`);
  unblockAll(released, { origin: null, alertRef: alertRefAt(context.now()) }, context);
  return bans;
}
