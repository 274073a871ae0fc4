// Completes the pending changes of a run that was killed: the same steps as theirs, without the lines that are written.
import { describeProtection, findProtection, type ProtectedEntry } from '../policy/protected.ts';
import { isForced } from '../model/ban.ts';
import type { StoredBan } from '../state/rows.ts';
import { completeAll, missingLines, type Pending } from './journal.ts';
import type { BanContext } from './context.ts';

export interface RecoverOptions {
  /** Asked for only if a block is pending. */
  readonly protectedEntries: () => readonly ProtectedEntry[];
  /** The part of an alert's time that recovery may take; absent: no bound of its own. */
  readonly withinMs?: number;
  /** Asked for only if something is pending. Whether runs without the writer lock are at work: it may be theirs. */
  readonly isWorkShared?: () => boolean;
}

/**
 * Throws `FIREWALL` when the kernel was not seen to be as asked; the changes then stay pending. An address that has become
 * protected meanwhile is unblocked instead of blocked, unless a person forced the block.
 */
export function recover(
  context: BanContext,
  { protectedEntries, withinMs, isWorkShared }: RecoverOptions,
): void {
  const { store, responseLog } = context;
  const found = new Set(store.bans.pending().map(({ address }) => address.text));
  if (found.size === 0 || isWorkShared?.() === true) return;
  unblockProtected(context, protectedEntries);
  // Others may have begun more since.
  const pending = store.bans.pending().filter(({ address }) => found.has(address.text));
  const completion = {
    trustState: false,
    missingLines: (batch: readonly Pending[]) => missingLines(batch, responseLog),
    withinMs: withinMs === undefined ? undefined : Math.max(1, withinMs),
  };
  completeAll(pending.map(pendingOf), completion, context);
}

function pendingOf(ban: StoredBan): Pending {
  const origin = ban.holds[0]?.origin ?? null;
  return { ...ban, history: { origin, reason: 'completed after an interruption' } };
}

function unblockProtected(
  { store, warn, now }: BanContext,
  protectedEntries: RecoverOptions['protectedEntries'],
): void {
  const unforced = store.bans.pending().filter((ban) => {
    return ban.phase === 'blocking' && !isForced(ban);
  });
  if (unforced.length === 0) return;
  const entries = protectedEntries();
  for (const { address } of unforced) {
    const protection = findProtection(address, entries);
    if (protection === null) continue;
    const reason = describeProtection(protection);
    warn(`${address.text} is protected by now (${reason}): its interrupted block is undone`);
    const change = { address, phase: 'unblocking', line: null, offset: null, hold: null } as const;
    store.bans.begin([change], now());
  }
}
