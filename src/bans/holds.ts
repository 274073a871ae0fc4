// Changes holds on addresses that stay blocked. The kernel does not change and no line is written.
import type { HoldKey } from '../model/ban.ts';
import { WITHOUT_LINE, type PendingChange } from '../state/pending-change.ts';
import { step } from '../system/fault.ts';
import type { BanContext } from './context.ts';
import { entryOf, hasNewHold, type BanChange } from './journal.ts';

/**
 * Records holds on addresses that stay blocked. A hold replaces an older one of the same origin. Returns the texts of
 * the addresses that another run has unblocked in the meantime.
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

/** Records in the history that a hold on a blocked address was added or changed. */
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

/** Deletes holds on addresses that other origins still hold. No line is written. */
export function endHolds(holds: readonly HoldKey[], { store }: Pick<BanContext, 'store'>): void {
  if (holds.length > 0) store.bans.dropHolds(holds);
  step('journal: holds ended');
}
