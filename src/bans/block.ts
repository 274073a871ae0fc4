// Blocks addresses, and undoes a block that fails.
import type { Change } from '../firewall/backend.ts';
import type { Address } from '../model/address.ts';
import { makeHolds, type Ban, type Hold, type HoldRequest } from '../model/ban.ts';
import { ProgramMissing } from '../model/errors.ts';
import { runAll } from '../model/parts.ts';
import { type StoredBan, WITHOUT_LINE, type PendingChange } from '../state/rows.ts';
import { step } from '../system/fault.ts';
import type { BanContext } from './context.ts';
import {
  commit,
  commitDecided,
  forgetReleases,
  kernelChangeOf,
  logFailures,
  stillPending,
  type BanChange,
  entryOf,
  hasNewHold,
} from './journal.ts';

/** Blocks `address` for one hold. Throws `FIREWALL` if the block can't be verified, after undoing it. */
export function block(address: Address, request: HoldRequest, context: BanContext): void {
  const holds = makeHolds(request, context.now());
  commitOrUndo([changeOf({ verb: 'add', address, before: null, holds })], context);
}

export interface EachRequest {
  /** Returns the holds to add to an address, given its current ban. */
  readonly holdsFor: (address: Address, before: Ban | null) => readonly [Hold, ...Hold[]];
  /** The user who ran the command. */
  readonly by?: string;
  /**
   * True for a list, which a timer can add every hour. The history then records new blocks, but not holds on addresses
   * that are blocked already.
   */
  readonly isList?: boolean;
}

/** A block that was made: the ban before it and its new hold. */
export type Made = Required<Pick<BanChange, 'address' | 'before' | 'hold'>>;

/**
 * Blocks many addresses, in one firewall transaction per family. Addresses that are blocked already keep their rules.
 * Returns the blocks that were made. Throws as `block` does, after both families and both groups were processed.
 */
export function blockEach(
  addresses: readonly Address[],
  { holdsFor, by, isList = false }: EachRequest,
  context: BanContext,
): Made[] {
  const unique = [...new Map(addresses.map((address) => [address.text, address])).values()];
  const known = context.store.bans.findAll(unique);
  const changes = unique.map((address) => {
    const before = known.get(address.text) ?? null;
    const verb = isBlocked(before) ? 'reapplied' : 'add';
    return changeOf({ verb, address, before, holds: holdsFor(address, before), by });
  });
  runAll([
    () => {
      const fresh = changes.filter(({ before }) => !isBlocked(before));
      commitOrUndo(fresh, context);
    },
    () => {
      const again = changes.filter(({ before }) => isBlocked(before));
      const reapplied = keepBlocked(again, context);
      const moved = again.filter(({ address }) => !reapplied.has(address.text));
      if (!isList) noteHolds(moved, context);
    },
  ]);
  return changes;
}

/**
 * Extends the hold on an address that execd reports as blocked, and blocks it again if the kernel does not hold the
 * block. Returns true if it was blocked again. Throws as `block` does.
 */
export function ensureBlocked(
  address: Address,
  request: HoldRequest,
  context: BanContext,
): boolean {
  const before = context.store.bans.find(address);
  const holds = makeHolds(request, context.now());
  if (!isBlocked(before)) {
    const change = changeOf({ verb: 'add', address, before, holds });
    // A rule of our shape without a ban was made by the program that we replace, and becomes ours.
    commitOrUndo([{ ...change, takeOver: true }], context);
    return true;
  }
  const change = changeOf({ verb: 'reapplied', address, before, holds });
  try {
    return keepBlocked([change], context).size > 0;
  } catch (error) {
    // The kernel may hold the block nevertheless, which must then last until the later deadline.
    recordHolds([change], context);
    throw error;
  }
}

/**
 * Records holds on blocked addresses, and blocks those again that the kernel does not hold. Writes lines only for
 * these, and returns their texts. Throws as `block` does.
 */
function keepBlocked(changes: readonly BanChange[], context: BanContext): ReadonlySet<string> {
  const { missing, late } = compare(changes, context);
  const unchanged = changes.filter(
    ({ address }) => !missing.has(address.text) && !late.has(address.text),
  );
  const released = recordHolds(unchanged, context);
  const isGone = ({ text }: Address): boolean => missing.has(text) || released.has(text);
  const gone = changes.filter(({ address }) => isGone(address));
  // For these only the timeout in the kernel changes.
  const moved = changes.filter(({ address }) => late.has(address.text) && !isGone(address));
  commitOrUndo([...gone, ...moved.map((change) => ({ ...change, line: null }))], context);
  return new Set(gone.map(({ address }) => address.text));
}

/**
 * Returns the texts of the addresses that are not blocked in the kernel, and of those with a timeout that is too short.
 */
function compare(
  changes: readonly BanChange[],
  context: BanContext,
): Record<'missing' | 'late', ReadonlySet<string>> {
  const nowMs = context.now();
  const textsOf = (some: readonly Change[]): Set<string> =>
    new Set(some.map(({ address }) => address.text));
  try {
    const { missing, late } = context.firewall.compare(
      changes.map((change) => kernelChangeOf(change, nowMs)),
    );
    return { missing: textsOf(missing), late: textsOf(late) };
  } catch (error) {
    logFailures(changes, context);
    throw error;
  }
}

function isBlocked(ban: Ban | null): boolean {
  return ban?.phase === 'blocked';
}

interface Block extends Pick<BanChange, 'address' | 'before'> {
  readonly verb: 'add' | 'reapplied';
  readonly holds: readonly [Hold, ...Hold[]];
  readonly by?: string | undefined;
}

function changeOf({ verb, address, before, holds, by }: Block): BanChange & Made {
  const [hold, ...also] = holds;
  const { alertRef, origin, reason } = hold;
  const line = { verb, address, alertRef };
  const cause = by === undefined ? { origin, reason } : { origin, reason, by };
  return { address, to: 'blocked', before, hold, also, line, ...cause };
}

/**
 * Commits changes. If that fails, logs `failed`, removes partial blocks, and leaves no change pending. Reads the bans
 * before the change in the transaction that records it, because another run may have changed them in the meantime.
 */
function commitOrUndo(wanted: readonly BanChange[], context: BanContext): void {
  if (wanted.length === 0) return;
  let known: ReadonlyMap<string, StoredBan> = new Map();
  let changes = wanted;
  try {
    commitDecided(() => {
      known = context.store.bans.findAll(wanted.map(({ address }) => address));
      changes = wanted.map((one) => ({ ...one, before: known.get(one.address.text) ?? null }));
      return changes;
    }, context);
  } catch (error) {
    const failed = stillPending(changes, context);
    logFailures(failed, context);
    undo(failed, known, context, error);
    throw error;
  }
}

/** Undoes failed blocks. Addresses that other origins hold get their old ban back; the rest is unblocked. */
function undo(
  failed: readonly BanChange[],
  known: ReadonlyMap<string, StoredBan>,
  context: BanContext,
  failure: unknown,
): void {
  const { store } = context;
  const isHeldAnyway = ({ address, hold, also = [] }: BanChange): boolean => {
    const asked = new Set([hold, ...also].map((one) => one?.origin));
    const before = known.get(address.text);
    if (before === undefined || before.phase === 'unblocking') return false;
    return before.phase === 'blocked' || before.holds.some(({ origin }) => !asked.has(origin));
  };
  store.bans.revert(
    failed.filter(isHeldAnyway).flatMap(({ address }) => known.get(address.text) ?? []),
  );
  const releases = failed.filter((change) => !isHeldAnyway(change)).map(unblockAgain);
  try {
    commit(releases, context);
  } catch (error) {
    // A missing program has changed nothing, so there is nothing to undo. After any other failure the release stays
    // pending for the next run. The caller gets the error of the block itself.
    if (failure instanceof ProgramMissing && error instanceof ProgramMissing)
      forgetReleases(releases, context);
  }
}

/**
 * Returns the release of an address whose block was not confirmed. The kernel may hold part of the block, beside
 * foreign rules that were not counted yet.
 */
function unblockAgain({ address, before }: BanChange): BanChange {
  const foreign = before?.foreign ?? null;
  const unconfirmed = { address, phase: 'blocking', sinceMs: 0, holds: [], foreign } as const;
  return { address, to: 'released', before: unconfirmed, line: null, origin: null, reason: '' };
}

/**
 * Records holds on addresses that stay blocked. A hold replaces an older one of the same origin. Returns the texts of
 * the addresses that another run has unblocked in the meantime.
 */
function recordHolds(
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
function noteHolds(
  changes: readonly BanChange[],
  { store, now }: Pick<BanContext, 'store' | 'now'>,
): void {
  const atMs = now();
  const entries = changes.filter(hasNewHold).flatMap((change) => {
    return change.line === null ? [] : entryOf(change, { ...change.line, verb: 'held' }, atMs);
  });
  if (entries.length > 0) store.history.record(entries);
}
