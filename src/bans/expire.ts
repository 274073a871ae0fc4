// Ends what is due: a ban made for a time ends by itself, whether or not whoever asked for it is still there.
import { EXPIRED, hasForeignRules, type Ban, type Hold } from '../model/ban.ts';
import type { BanContext } from './context.ts';
import { endHolds } from './holds.ts';
import { commitDecided, type BanChange } from './journal.ts';

/** Metadata: when the command `expire` last ran, in Unix milliseconds. It shows that a timer is active. */
export const LAST_EXPIRE = 'last expire';

/**
 * Unblocks every address whose last hold is over, for `overdueMs` at least. Returns their bans; throws `FIREWALL` as
 * `commit` does.
 */
export function expireDue(context: BanContext, overdueMs = 0): Ban[] {
  const { bans } = context.store;
  const nowMs = context.now() - overdueMs;
  const isOver = (hold: Hold): boolean => hold.expiresAtMs !== null && hold.expiresAtMs <= nowMs;
  let ending: Ban[] = [];
  if (bans.due(nowMs).length === 0) return ending;
  commitDecided(() => {
    const due = Map.groupBy(bans.due(nowMs), ({ holds }) => holds.every(isOver));
    // Others still hold the address: only what is over goes, and no line is written.
    const ended = (due.get(false) ?? []).flatMap(({ address, holds }) => {
      return holds.filter(isOver).map(({ origin }) => ({ address, origin }));
    });
    endHolds(ended, context);
    // Those that are due have a hold at least.
    ending = due.get(true) ?? [];
    return ending.map(endOf);
  }, context);
  return ending;
}

/** The line names the alert whose hold kept the address longest. */
function endOf(ban: Ban): BanChange {
  const { address, holds } = ban;
  const { alertRef, origin } = holds.reduce((last, hold) => {
    return (hold.expiresAtMs ?? 0) > (last.expiresAtMs ?? 0) ? hold : last;
  });
  const line = { verb: hasForeignRules(ban) ? 'kept' : 'delete', address, alertRef } as const;
  return { address, to: 'released', before: ban, line, origin, reason: EXPIRED };
}
