// The write-ahead protocol of every change of a ban: state → kernel → response log → confirm. If a run is killed in
// between, the next run completes the pending changes (recover.ts).
import type { Change } from '../firewall/backend.ts';
import type { Address } from '../model/address.ts';
import type { Ban, Hold, Origin, Outcome } from '../model/ban.ts';
import { partsOf, forEachFamily } from '../model/parts.ts';
import type { HistoryEntry } from '../state/history.ts';
import { isWriterLockHeld } from '../state/lock.ts';
import type { StoredBan, PendingChange } from '../state/rows.ts';
import { step } from '../system/fault.ts';
import type { BanContext } from './context.ts';
import { followMigration, followState, toKernelChange } from './load.ts';
import { claimBackend } from './migrate.ts';

/** A change of one address and its ban. */
export interface BanChange {
  readonly address: Address;
  readonly to: 'blocked' | 'released';
  /** The ban before the change; null if there is none. */
  readonly before: Ban | null;
  /** A hold to add. It replaces an older one of the same origin. */
  readonly hold?: Hold;
  /** Holds of other origins to add. */
  readonly also?: readonly Hold[];
  /** The origin whose hold ends while others continue. */
  readonly ends?: Origin;
  /** The log line to write once the change is verified in the kernel; null for none. */
  readonly line: Outcome | null;
  /** Fields of the history record. */
  readonly origin: Origin | null;
  readonly reason: string;
  readonly by?: string;
  /** True if an existing rule of our shape becomes ours. */
  readonly takeOver?: boolean;
}

/** A recorded change, with the data to complete it. */
export interface Pending extends StoredBan {
  readonly history: Pick<HistoryEntry, 'origin' | 'reason' | 'by'>;
}

interface Completion {
  /** True if the first plan may assume that the kernel matches the state. */
  readonly trustState: boolean;
  /** Returns the lines of a batch that the log does not have yet. */
  readonly missingLines: (batch: readonly Pending[]) => Outcome[];
  /** The time limit for the firewall programs in milliseconds; absent for that of the run. */
  readonly withinMs?: number | undefined;
  /** The changes that stay pending, for the next run to complete (`contestedAmong`). */
  readonly contested?: ReadonlySet<Pending>;
}

/**
 * Commits changes, in one firewall transaction per family, or in parts if the backend requires it. Throws `FIREWALL`
 * after all families were processed. Changes that were not verified in the kernel stay pending.
 */
export function commit(changes: readonly BanChange[], context: BanContext): void {
  if (changes.length > 0) commitDecided(() => changes, context);
}

/**
 * Commits changes that depend on the state. Calls `decide` in the transaction that records its result, so that no other
 * run can change the state in between. `decide` can be called again after a failure.
 */
export function commitDecided(decide: () => readonly BanChange[], context: BanContext): void {
  const { store, responseLog, now } = context;
  const offset = responseLog.offset();
  const { changes, pending, ...begun } = store.bans.transaction(() => {
    if (!isWriterLockHeld()) claimBackend(context);
    const decided = decide();
    const recorded = decided.map((change) => pendingOf(change, offset, now()));
    const contested = contestedAmong(recorded, context);
    // True in the usual case: addresses without a ban are blocked, or blocked ones are unblocked.
    const trustState = store.bans.begin(recorded, now());
    return { changes: decided, pending: recorded, contested, trustState };
  });
  step('journal: recorded');
  // Another run that holds the lock may mistake this change for that of a killed run and complete it at the same time,
  // including its line.
  const unwritten = (batch: readonly Pending[]): Outcome[] => {
    return isWriterLockHeld() ? linesOf(batch) : missingLines(batch, responseLog);
  };
  completeAll(pending, { ...begun, missingLines: unwritten }, context);
  if (!isWriterLockHeld()) followMigration(changes.map(addressOf), context);
}

/** Metadata: not empty while a run restores bans. */
export const RESTORING = 'restoring';

/**
 * Returns the changes that reverse what another run is doing: its pending change, or the restore of a ban. If that run
 * changes the kernel last and is killed before it sees the reversal, only a change that is still pending lets the next
 * run repair the kernel.
 */
function contestedAmong(
  recorded: readonly Pending[],
  { store, isWorkShared }: BanContext,
): Set<Pending> {
  const before = new Map(store.bans.pending().map(({ address, phase }) => [address.text, phase]));
  // A restore blocks addresses without pending changes.
  const otherwise = store.metadata.get(RESTORING) ? 'blocking' : null;
  const contested = recorded.filter(({ address, phase, line }) => {
    // A change without a line can undo one of this run.
    return line !== null && (before.get(address.text) ?? otherwise ?? phase) !== phase;
  });
  return new Set(contested.length > 0 && isWorkShared() ? contested : []);
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
 * Returns the foreign rules that the change must leave; null if they are not known yet. A new block determines them. A
 * release leaves the known ones. The rule that is removed without a ban is foreign itself, so none is left.
 */
function foreignBefore({ to, before, takeOver = false }: BanChange): Ban['foreign'] {
  if (takeOver) return {};
  if (before === null) return to === 'released' ? {} : null;
  return to === 'released' || before.phase === 'blocked' ? before.foreign : null;
}

/** Returns the holds after a change. A ban with a pending release starts over: its old holds have ended. */
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

/**
 * Returns the lines of a batch that are not in the log. Searches the log once for all changes that were recorded at the
 * same time.
 */
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

/** Completes pending changes of this run or of a killed one. Throws as `commit` does. */
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

/**
 * Splits changes into batches: one for all blocks, and several for releases, the newest first, because iptables finds
 * those soonest.
 */
function batchesOf(pending: readonly Pending[], mostReleases: number): (readonly Pending[])[] {
  const blocks = pending.filter(({ phase }) => phase === 'blocking');
  const releases = pending.filter(({ phase }) => phase === 'unblocking').toReversed();
  return [...partsOf(blocks, Infinity), ...partsOf(releases, mostReleases)];
}

function complete(
  batch: readonly Pending[],
  { trustState, missingLines, withinMs, contested = new Set() }: Completion,
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
  const left = batch.filter((change) => contested.has(change));
  const verified = batch.filter((change) => !contested.has(change));
  const overtaken = store.bans.confirm(
    verified,
    verified.flatMap(({ line, history }) => (line === null ? [] : entryOf(history, line, doneMs))),
    { foreign, countsOffences: context.countsOffences },
  );
  step('journal: confirmed');
  const unsettled = [...overtaken, ...left];
  if (unsettled.length > 0) followState(unsettled.map(addressOf), context);
  context.cutConnections(batch.filter(isNewBlock).map(({ address }) => address));
}

/** Reports whether a change is a new block. A change without a line only moves the timeout of a block. */
function isNewBlock({ phase, line }: Pending): boolean {
  return phase === 'blocking' && line !== null;
}

/** Reports whether a change adds a hold that the ban does not have yet. */
export function hasNewHold({ before, hold }: BanChange): boolean {
  return hold !== undefined && before?.holds.includes(hold) !== true;
}

/** Returns the kernel change for a ban change. */
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

/** Returns the changes that are still pending after `commit` threw. The changes of one family may have succeeded. */
export function stillPending(
  changes: readonly BanChange[],
  { store }: Pick<BanContext, 'store'>,
): BanChange[] {
  const bans = store.bans.findAll(changes.map(({ address }) => address));
  return changes.filter(({ address, to }) => {
    return bans.get(address.text)?.phase === (to === 'blocked' ? 'blocking' : 'unblocking');
  });
}

/** Deletes pending releases that never began, so that later runs do not try them again. */
export function forgetReleases(
  changes: readonly BanChange[],
  { store }: Pick<BanContext, 'store'>,
): void {
  const releases = changes.map(({ address }) => ({ address, phase: 'unblocking' as const }));
  store.bans.confirm(releases, []);
}

/** Writes a `failed` line for each change to the response log and to the history. */
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
