// Ends bans on addresses that have become protected since: an address of the host's own, a gateway or manager that moved.
import { isSingle } from '../model/address.ts';
import { alertRefAt, isForced, type Ban } from '../model/ban.ts';
import type { ProtectedEntry } from '../policy/protected.ts';
import type { BanContext } from './context.ts';
import { unblockAll } from './unblock.ts';

/**
 * Releases them, but for those that a person forced, and returns their bans. Each IPv4 network among the entries is looked
 * for in the index of all bans; `restore` looks at IPv6 and at networks that are banned too. Throws `FIREWALL` as a release
 * does.
 */
export function releaseProtected(entries: readonly ProtectedEntry[], context: BanContext): Ban[] {
  const { bans: stored } = context.store;
  const addresses = entries.flatMap(({ network, always }) => {
    const isWide = !always && network.family === 4 && !isSingle(network);
    return [network, ...(isWide ? stored.within(network).map(({ address }) => address) : [])];
  });
  const bans = stored.blockedAmong(addresses).filter((ban) => !isForced(ban));
  if (bans.length === 0) return [];
  const released = bans.map(({ address }) => address);
  context.warn(`protected by now, and released: ${released.map(({ text }) => text).join(', ')}`);
  unblockAll(released, { origin: null, alertRef: alertRefAt(context.now()) }, context);
  return bans;
}
