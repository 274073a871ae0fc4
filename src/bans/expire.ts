// Ends bans whose deadline has passed, independently of the program that asked for them.
import { EXPIRED, hasForeignRules, type Ban, type Hold } from '../model/ban.ts';
import type { BanContext } from './context.ts';
import { endHolds } from './holds.ts';
import { commitDecided, type BanChange } from './journal.ts';

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
    endHolds(ended, context);
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
