// Completes the pending changes of a killed run with the same steps, without lines that are already written.
import { describeProtection, findProtection, type ProtectedEntry } from '../policy/protected.ts';
import { isForced } from '../model/ban.ts';
import type { StoredBan } from '../state/rows.ts';
import { completeAll, missingLines, type Pending } from './journal.ts';
import type { BanContext } from './context.ts';

export interface RecoverOptions {
  /** Returns the protected entries. Called only if a block is pending. */
  readonly protectedEntries: () => readonly ProtectedEntry[];
  /** The time limit of the recovery in milliseconds; absent for that of the run. */
  readonly withinMs?: number;
}

/**
 * Completes pending changes. An address that has become protected is unblocked instead, unless a person forced the
 * block. Throws `FIREWALL` if a change can't be verified; it then stays pending.
 */
export function recover(context: BanContext, { protectedEntries, withinMs }: RecoverOptions): void {
  const { store, responseLog, isWorkShared } = context;
  const found = new Set(store.bans.pending().map(({ address }) => address.text));
  // While runs without the writer lock are working, the changes may be theirs.
  if (found.size === 0 || isWorkShared()) return;
  unblockProtected(context, protectedEntries);
  // Other runs may have recorded more changes since.
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
    warn(`${address.text} is protected now (${reason}), so its interrupted block is undone`);
    const change = { address, phase: 'unblocking', line: null, offset: null, hold: null } as const;
    store.bans.begin([change], now());
  }
}
