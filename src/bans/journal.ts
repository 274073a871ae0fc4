// The write-ahead protocol of every change of a ban: state → kernel → response log → confirm. Killed between any two of
// these, the next run finds the pending changes and completes them (recover.ts).
import type { Change } from '../firewall/backend.ts';
import type { Address } from '../model/address.ts';
import type { Ban, Hold, Origin, Outcome } from '../model/ban.ts';
import { partsOf } from '../model/parts.ts';
import type { HistoryEntry } from '../state/history.ts';
import { isWriterLockHeld } from '../state/lock.ts';
import type { PendingChange } from '../state/pending-change.ts';
import type { StoredBan } from '../state/rows.ts';
import { step } from '../system/fault.ts';
import type { BanContext } from './context.ts';
import { forEachFamily } from './families.ts';
import { followMigration, followState, toKernelChange } from './load.ts';

/** What shall become of one address. */
export interface BanChange {
  readonly address: Address;
  readonly to: 'blocked' | 'released';
  /** The ban as the state has it; null: there is none. */
  readonly before: Ban | null;
  /** A hold to add, in place of an older one of the same origin. */
  readonly hold?: Hold;
  /** Holds of other origins that begin with it. */
  readonly also?: readonly Hold[];
  /** Whose hold ends while others go on. */
  readonly ends?: Origin;
  /** The line to write once the kernel was seen to be as asked; null: none. */
  readonly line: Outcome | null;
  /** For the history. */
  readonly origin: Origin | null;
  readonly reason: string;
  readonly by?: string;
  /** True where a rule of our shape without a ban becomes ours. */
  readonly takeOver?: boolean;
}

/** A change that is recorded, and what is left to do for it. */
export interface Pending extends StoredBan {
  readonly history: Pick<HistoryEntry, 'origin' | 'reason' | 'by'>;
}

interface Completion {
  /** Whether the first plan may rely on what the state says that the kernel holds. */
  readonly trustState: boolean;
  /** Those of the lines that the log does not have yet. */
  readonly missingLines: (batch: readonly Pending[]) => Outcome[];
  /** How long the firewall programs may take; absent: as long as the run has. */
  readonly withinMs?: number | undefined;
}

/**
 * Makes changes, in one firewall transaction per family, or in parts where the backend prefers that. Throws `FIREWALL`
 * once each family had its turn; what the kernel was not seen to do then stays pending.
 */
export function commit(changes: readonly BanChange[], context: BanContext): void {
  if (changes.length > 0) commitDecided(() => changes, context);
}

/** The same for changes that depend on the state: no other run comes between `decide` and the record of what it returns. */
export function commitDecided(decide: () => readonly BanChange[], context: BanContext): void {
  const { store, responseLog, now } = context;
  const offset = responseLog.offset();
  const { changes, pending, trustState } = store.bans.transaction(() => {
    const decided = decide();
    const recorded = decided.map((change) => pendingOf(change, offset, now()));
    // The usual case: an address without a ban is blocked, or one that is blocked is released.
    const isUsual = store.bans.begin(recorded, now());
    return { changes: decided, pending: recorded, trustState: isUsual };
  });
  step('journal: recorded');
  // Without the lock, whoever has it may take the change for one of a killed run, and complete it at the same time.
  const unwritten = (batch: readonly Pending[]): Outcome[] => {
    return isWriterLockHeld() ? linesOf(batch) : missingLines(batch, responseLog);
  };
  completeAll(pending, { trustState, missingLines: unwritten }, context);
  if (!isWriterLockHeld()) followMigration(changes.map(addressOf), context);
}

function pendingOf(
  change: BanChange,
  offset: StoredBan['offset'],
  nowMs: number,
): Pending & PendingChange {
  const { address, to, before, line, hold = null, also, ends } = change;
  return {
    address,
    phase: to === 'blocked' ? 'blocking' : 'unblocking',
    hold,
    also,
    ends,
    sinceMs: before?.sinceMs ?? nowMs,
    holds: holdsAfter(change),
    foreign: foreignBefore(change),
    line,
    offset,
    history: change,
  };
}

/**
 * Found out anew for a block that begins; a release leaves what is known to be somebody else's. Null: not known yet. What
 * is released without a ban is the rule of somebody else.
 */
function foreignBefore({ to, before, takeOver = false }: BanChange): Ban['foreign'] {
  if (takeOver) return {};
  if (before === null) return to === 'released' ? {} : null;
  return to === 'released' || before.phase === 'blocked' ? before.foreign : null;
}

/** What was about to be released begins anew: its old holds are over. */
function holdsAfter({ before, hold, also = [], ends }: BanChange): Hold[] {
  const known = before === null || before.phase === 'unblocking' ? [] : before.holds;
  const added = hold === undefined ? [] : [hold, ...also];
  if (known.length === 0) return added;
  const over = new Set([...added.map(({ origin }) => origin), ends]);
  return [...known.filter(({ origin }) => !over.has(origin)), ...added];
}

function addressOf({ address }: Pick<BanChange, 'address'>): Address {
  return address;
}

function linesOf(batch: readonly Pending[]): Outcome[] {
  return batch.flatMap(({ line }) => line ?? []);
}

/** The log is searched once for all that were recorded at the same time. */
export function missingLines(
  batch: readonly Pending[],
  responseLog: BanContext['responseLog'],
): Outcome[] {
  const byMark = Map.groupBy(batch, ({ offset }) => JSON.stringify(offset));
  return [...byMark.values()].flatMap((own) => {
    const lines = own.flatMap(({ line }) => line ?? []);
    return lines.length === 0 ? [] : responseLog.missing(own[0]?.offset ?? null, lines);
  });
}

/** Completes pending changes of this run or of one that was killed. Throws as `commit` does. */
export function completeAll(
  pending: readonly Pending[],
  completion: Completion,
  context: BanContext,
): void {
  const total = pending.length;
  let done = 0;
  forEachFamily(pending, (own) => {
    for (const batch of batchesOf(own, context.firewall.mostReleases)) {
      complete(batch, completion, context);
      done += batch.length;
      context.onProgress(done, total);
    }
  });
}

/** Blocks go into the kernel in one go; releases in parts, the newest first, where iptables finds them soonest. */
function batchesOf(pending: readonly Pending[], mostReleases: number): (readonly Pending[])[] {
  const blocks = pending.filter(({ phase }) => phase === 'blocking');
  const releases = pending.filter(({ phase }) => phase === 'unblocking').toReversed();
  return [...partsOf(blocks, Infinity), ...partsOf(releases, mostReleases)];
}

function complete(
  batch: readonly Pending[],
  { trustState, missingLines, withinMs }: Completion,
  context: BanContext,
): void {
  const { store, firewall, responseLog, now } = context;
  const startedMs = now();
  const changes = batch.map((one) => toKernelChange(one, startedMs));
  const { foreign } = firewall.apply(changes, { trustState, withinMs });
  step('journal: kernel changed');
  responseLog.write(missingLines(batch));
  step('journal: lines written');
  const doneMs = now();
  const overtaken = store.bans.confirm(
    batch,
    batch.flatMap(({ line, history }) => (line === null ? [] : entryOf(history, line, doneMs))),
    { foreign, countsOffences: context.countsOffences },
  );
  step('journal: confirmed');
  if (overtaken.length > 0) followState(overtaken.map(addressOf), context);
  context.cutConnections(batch.filter(isNewBlock).map(({ address }) => address));
}

/** Without a line, only the end of a block has moved. */
function isNewBlock({ phase, line }: Pending): boolean {
  return phase === 'blocking' && line !== null;
}

/** False: the hold of a change is the one that the ban has. */
export function hasNewHold({ before, hold }: BanChange): boolean {
  return hold !== undefined && before?.holds.includes(hold) !== true;
}

/** What the kernel shall do once a change is made. */
export function kernelChangeOf(change: BanChange, nowMs: number): Change {
  const phase = change.to === 'blocked' ? 'blocking' : 'unblocking';
  const after = { phase, holds: holdsAfter(change), foreign: foreignBefore(change) } as const;
  const wanted = toKernelChange({ ...after, address: change.address }, nowMs);
  return hasNewHold(change) ? wanted : { ...wanted, keepsEnd: true };
}

export function entryOf(
  { origin, reason, by }: Pending['history'],
  outcome: Outcome,
  atMs: number,
): HistoryEntry {
  return { atMs, outcome, origin, reason, ...(by !== undefined && { by }) };
}

/** Those of the changes that are still pending after `commit` threw: one family may have succeeded. */
export function stillPending(
  changes: readonly BanChange[],
  { store }: Pick<BanContext, 'store'>,
): BanChange[] {
  const bans = store.bans.findAll(changes.map(({ address }) => address));
  return changes.filter(({ address, to }) => {
    return bans.get(address.text)?.phase === (to === 'blocked' ? 'blocking' : 'unblocking');
  });
}

/** For releases that could not begin: nothing is left to be done for them. */
export function forgetReleases(
  changes: readonly BanChange[],
  { store }: Pick<BanContext, 'store'>,
): void {
  const releases = changes.map(({ address }) => ({ address, phase: 'unblocking' as const }));
  store.bans.confirm(releases, []);
}

/** Writes a line `failed` for each change, to the response log and to the history. */
export function logFailures(
  failed: readonly BanChange[],
  { responseLog, store, now }: BanContext,
): void {
  const atMs = now();
  const entries = failed.flatMap((change) => {
    return change.line === null ? [] : entryOf(change, { ...change.line, verb: 'failed' }, atMs);
  });
  responseLog.write(entries.map(({ outcome }) => outcome));
  store.history.record(entries);
  step('journal: failures logged');
}
