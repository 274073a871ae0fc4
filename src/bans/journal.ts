// The write-ahead protocol of every change of a ban: state → kernel → response log → confirm. Killed between any two of
// these, the next run finds the pending changes and completes them (recover.ts).
import type { ApplyResult, Firewall } from '../firewall/apply.ts';
import type { Change } from '../firewall/backend.ts';
import { backendNamed } from '../firewall/select.ts';
import type { Address } from '../model/address.ts';
import { remainingSeconds, type Ban, type Hold, type Origin, type Outcome } from '../model/ban.ts';
import type { HistoryEntry } from '../state/history.ts';
import { isWriterLockHeld } from '../state/lock.ts';
import type { PendingChange } from '../state/pending-change.ts';
import type { StoredBan } from '../state/rows.ts';
import { step } from '../system/fault.ts';
import type { BanContext } from './context.ts';
import { forEachFamily } from './families.ts';
import { ACTIVE_BACKEND } from './places.ts';

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
  if (changes.length === 0) return;
  const offset = context.responseLog.offset();
  const pending = changes.map((change) => pendingOf(change, offset, context.now()));
  context.store.bans.begin(pending, context.now());
  step('journal: recorded');
  const trustState = changes.every(isAsStateSays);
  // Without the lock, whoever has it may take the change for one of a killed run, and complete it at the same time.
  const unwritten = (batch: readonly Pending[]): Outcome[] => {
    return isWriterLockHeld() ? linesOf(batch) : missingLines(batch, context.responseLog);
  };
  completeAll(pending, { trustState, missingLines: unwritten }, context);
  if (!isWriterLockHeld()) followMigration(changes, context);
}

/** Without the lock: whoever has it may have migrated all bans since this run found out where they are. */
function followMigration(changes: readonly BanChange[], context: BanContext): void {
  const { store, firewall, now } = context;
  const known = store.metadata.get(ACTIVE_BACKEND);
  store.metadata.reload();
  const active = backendNamed(store.metadata.get(ACTIVE_BACKEND));
  const former = backendNamed(firewall.backendName);
  if (active === null || active === known || former === null || active === former) return;
  firewall.use(active, former);
  const bans = store.bans.findAll(changes.map(({ address }) => address));
  const held = [...bans.values()];
  load(held, context, firewall.of(active));
  firewall.of(former).apply(releasesOf(held, now()), { trustState: false });
  const gone = changes.filter(({ address }) => !bans.has(address.text));
  firewall.of(active).apply(
    gone.map(({ address }) => ({ address, to: 'released', foreign: 'find' })),
    { trustState: false },
  );
}

/** The usual case: an address without a ban is blocked, or one that is blocked is released. */
function isAsStateSays({ to, before }: BanChange): boolean {
  return to === 'blocked' ? before === null : before?.phase === 'blocked';
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
function batchesOf(pending: readonly Pending[], mostReleases: number): Pending[][] {
  const blocks = pending.filter(({ phase }) => phase === 'blocking');
  const releases = pending.filter(({ phase }) => phase === 'unblocking').toReversed();
  const batches = blocks.length === 0 ? [] : [blocks];
  for (let from = 0; from < releases.length; from += mostReleases) {
    batches.push(releases.slice(from, from + mostReleases));
  }
  return batches;
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
  store.bans.confirm(
    batch.map(({ address }) => address),
    batch.flatMap(({ line, history }) => (line === null ? [] : entryOf(history, line, doneMs))),
    { foreign, countsOffences: context.countsOffences },
  );
  step('journal: confirmed');
  context.cutConnections(batch.filter(isNewBlock).map(({ address }) => address));
}

/** Without a line, only the end of a block has moved. */
function isNewBlock({ phase, line }: Pending): boolean {
  return phase === 'blocking' && line !== null;
}

/** Has the kernel, by way of one backend, hold bans as the state does: for a restore, and for a migration. Throws as `commit` does. */
export function load(
  bans: readonly Ban[],
  { store, firewall, now }: Pick<BanContext, 'store' | 'firewall' | 'now'>,
  backend: Firewall = firewall,
): ApplyResult[] {
  const results: ApplyResult[] = [];
  forEachFamily(bans, (own) => {
    const changes = own.map((ban) => toKernelChange(ban, now()));
    const result = backend.apply(changes, { trustState: false });
    step('journal: bans loaded');
    // Runs without the writer lock may have released some of them meanwhile: now they would stay for good.
    const left = new Set(store.bans.heldBy(null).map(({ text }) => text));
    const gone = own.filter(({ address }) => !left.has(address.text));
    backend.apply(releasesOf(gone, now()), { trustState: false });
    // Another backend is filled beside the one that is active, whose plain rules are ours.
    if (backend === firewall) store.bans.noteForeign(result.foreign);
    results.push(result);
  });
  return results;
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

/** For a backend that shall no longer hold these bans. */
export function releasesOf(bans: readonly Ban[], nowMs: number): Change[] {
  return bans.map((ban) => toKernelChange({ ...ban, phase: 'unblocking' }, nowMs));
}

/** What the state says that the kernel shall do. */
export function toKernelChange(
  { address, phase, holds, foreign }: Pick<Ban, 'address' | 'phase' | 'holds' | 'foreign'>,
  nowMs: number,
): Change {
  const known = foreign ?? 'find';
  if (phase === 'unblocking') return { address, foreign: known, to: 'released' };
  const timeoutSeconds = remainingSeconds(holds, nowMs);
  return { address, foreign: known, to: 'blocked', timeoutSeconds };
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
