// Changes of holds that leave their address blocked: the kernel is as it was, and no line is written.
import type { HoldKey } from '../model/ban.ts';
import { WITHOUT_LINE, type PendingChange } from '../state/pending-change.ts';
import { step } from '../system/fault.ts';
import type { BanContext } from './context.ts';
import { entryOf, hasNewHold, type BanChange } from './journal.ts';

/**
 * Records the holds of changes to addresses that stay blocked; each in place of an older one of the same origin. Returns the
 * text of those that another run has released meanwhile.
 */
export function recordHolds(
  changes: readonly BanChange[],
  { store }: Pick<BanContext, 'store'>,
): ReadonlySet<string> {
  const held = changes.filter(hasNewHold).map(({ address, hold = null, also }): PendingChange => {
    return { ...WITHOUT_LINE, address, phase: 'blocking', hold, also };
  });
  const released = held.length > 0 ? store.bans.addHolds(held) : new Set<string>();
  step('journal: holds recorded');
  return released;
}

/** Writes to the history that a hold has begun, or changed, on addresses that were blocked already. */
export function noteHolds(
  changes: readonly BanChange[],
  { store, now }: Pick<BanContext, 'store' | 'now'>,
): void {
  const atMs = now();
  const entries = changes.filter(hasNewHold).flatMap((change) => {
    return change.line === null ? [] : entryOf(change, { ...change.line, verb: 'held' }, atMs);
  });
  if (entries.length > 0) store.history.record(entries);
}

/** Ends holds on addresses that others still hold; no line is written. */
export function endHolds(holds: readonly HoldKey[], { store }: Pick<BanContext, 'store'>): void {
  if (holds.length > 0) store.bans.dropHolds(holds);
  step('journal: holds ended');
}
