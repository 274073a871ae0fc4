// Ends bans on addresses that have become protected, such as a new address of the host, gateway or manager.
import { isSingle } from '../model/address.ts';
import { alertRefAt, isForced, type Ban } from '../model/ban.ts';
import { findProtection, type ProtectedEntry } from '../policy/protected.ts';
import type { BanContext } from './context.ts';
import { unblockAll } from './unblock.ts';

/**
 * Unblocks protected addresses unless a person forced the ban. Returns their bans. Of `entries` it checks only single
 * addresses, which takes the same time for any number of bans. It compares every ban with `networks`. `restore` checks
 * the networks of all sources. Throws `FIREWALL` as a release does.
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
  context.warn(
    `unblocking addresses that are protected now: ${released.map(({ text }) => text).join(', ')}`,
  );
  unblockAll(released, { origin: null, alertRef: alertRefAt(context.now()) }, context);
  return bans;
}
