// Ends bans whose deadline has passed, independently of the program that asked for them, and bans on addresses that
// have become protected, such as a new address of the host, gateway or manager.
import { isSingle } from '../model/address.ts';
import {
  EXPIRED,
  hasForeignRules,
  type Ban,
  type Hold,
  alertRefAt,
  isForced,
} from '../model/ban.ts';
import { findProtection, type ProtectedEntry } from '../policy/protected.ts';
import { step } from '../system/fault.ts';
import type { BanContext } from './context.ts';
import { commitDecided, type BanChange } from './journal.ts';
import { unblockAll } from './unblock.ts';

/** Metadata: the time of the last `expire` command in Unix milliseconds. It shows that a timer is active. */
export const LAST_EXPIRE = 'last expire';

/**
 * Unblocks every address whose last hold expired at least `overdueMs` milliseconds ago. Returns the bans that ended.
 * Throws `FIREWALL` as `commit` does.
 */
export function expireDue(context: BanContext, overdueMs = 0): Ban[] {
  const { bans } = context.store;
  const nowMs = context.now() - overdueMs;
  const isOver = (hold: Hold): boolean => hold.expiresAtMs !== null && hold.expiresAtMs <= nowMs;
  let ending: Ban[] = [];
  if (bans.due(nowMs).length === 0) return ending;
  commitDecided(() => {
    const due = Map.groupBy(bans.due(nowMs), ({ holds }) => holds.every(isOver));
    // Other origins still hold the address: delete only the expired holds, without a line.
    const ended = (due.get(false) ?? []).flatMap(({ address, holds }) => {
      return holds.filter(isOver).map(({ origin }) => ({ address, origin }));
    });
    if (ended.length > 0) bans.dropHolds(ended);
    step('journal: holds ended');
    // `due` returns only bans with a hold, so `holds` is never empty.
    ending = due.get(true) ?? [];
    return ending.map(endOf);
  }, context);
  return ending;
}

/** Returns the release of an expired ban. Its line names the alert of the hold that lasted longest. */
function endOf(ban: Ban): BanChange {
  const { address, holds } = ban;
  const { alertRef, origin } = holds.reduce((last, hold) => {
    return (hold.expiresAtMs ?? 0) > (last.expiresAtMs ?? 0) ? hold : last;
  });
  const line = { verb: hasForeignRules(ban) ? 'kept' : 'delete', address, alertRef } as const;
  return { address, to: 'released', before: ban, line, origin, reason: EXPIRED };
}

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
  const bans = [...stored.findAll([...singles, ...inside]).values()].filter((ban) => {
    return ban.phase === 'blocked' && !isForced(ban);
  });
  if (bans.length === 0) return [];
  const released = bans.map(({ address }) => address);
  context.warn(
    `unblocking addresses that are protected now: ${released.map(({ text }) => text).join(', ')}`,
  );
  unblockAll(released, { origin: null, alertRef: alertRefAt(context.now()) }, context);
  return bans;
}
