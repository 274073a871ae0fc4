// Releases an address: the mirror of blocking, in the same order and with the same promises.
import type { HistoryEntry } from '../store/store.ts';
import type { Address } from './address.ts';
import type { Ban, Incident, Origin, Outcome } from './ban.ts';
import type { Tools } from './tools.ts';

export interface ReleaseRequest {
  /** Whose hold ends; null: everybody's. */
  readonly origin: Origin | null;
  readonly incident: Incident;
}

export type ReleaseOutcome = 'released' | 'kept';

/**
 * Ends a hold, and the block with the last one. An address that was not blocked is released all the same: the kernel
 * is looked at, and what is there goes. Throws `FIREWALL` when the kernel was not seen to be rid of it; the next run
 * then tries again.
 */
export function unblock(address: Address, request: ReleaseRequest, tools: Tools): ReleaseOutcome {
  const { store, firewall, announcer } = tools;
  const known = store.find(address);
  if (known !== null && isHeldByOthers(known, request.origin)) {
    keep(known, request, tools);
    return 'kept';
  }
  const owed: Outcome = { verb: 'delete', address, incident: request.incident };
  store.intend(
    [{ address, phase: 'unblocking', owed, mark: announcer.mark(), hold: null }],
    tools.now(),
  );
  try {
    firewall.apply([{ address, to: 'released' }], { trustBooks: known?.phase === 'blocked' });
  } catch (error) {
    const failed: Outcome = { ...owed, verb: 'failed' };
    announcer.tell(failed);
    store.record(historyOf(failed, request, tools));
    throw error;
  }
  announcer.tell(owed);
  store.confirm([address], [historyOf(owed, request, tools)]);
  return 'released';
}

function isHeldByOthers(ban: Ban, origin: Origin | null): boolean {
  if (origin === null || ban.phase !== 'blocked') return false;
  return ban.holds.some((hold) => hold.origin !== origin);
}

function keep(ban: Ban, request: ReleaseRequest, tools: Tools): void {
  const outcome: Outcome = { verb: 'kept', address: ban.address, incident: request.incident };
  const ended = ban.holds.filter((hold) => hold.origin === request.origin);
  const keys = ended.map((hold) => ({ address: ban.address, origin: hold.origin }));
  tools.store.dropHolds(keys, [historyOf(outcome, request, tools)]);
  tools.announcer.tell(outcome);
}

function historyOf(outcome: Outcome, { origin }: ReleaseRequest, { now }: Tools): HistoryEntry {
  return { atMs: now(), outcome, origin, reason: '' };
}
