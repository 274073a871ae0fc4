// Ends bans on addresses that have become protected, such as a new address of the host, gateway or manager.
import { isSingle } from '../model/address.ts';
import { alertRefAt, isForced, type Ban } from '../model/ban.ts';
import type { ProtectedEntry } from '../policy/protected.ts';
import type { BanContext } from './context.ts';
import { unblockAll } from './unblock.ts';

/**
 * Unblocks protected addresses unless a person forced the ban. Returns their bans. Finds bans inside protected IPv4
 * networks with the index of all bans; `restore` also checks IPv6 networks and wider banned networks. Throws `FIREWALL`
 * as a release does.
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
  context.warn(
    `unblocking addresses that are protected now: ${released.map(({ text }) => text).join(', ')}`,
  );
  unblockAll(released, { origin: null, alertRef: alertRefAt(context.now()) }, context);
  return bans;
}
