// Blocks addresses, and leaves nothing of a block that failed.
import { ProgramMissing } from '../model/errors.ts';
import type { Address } from '../model/address.ts';
import { makeHolds, type Ban, type Hold, type HoldRequest } from '../model/ban.ts';
import type { Change } from '../firewall/backend.ts';
import type { StoredBan } from '../state/rows.ts';
import type { BanContext } from './context.ts';
import { inTurn } from './families.ts';
import { noteHolds, recordHolds } from './holds.ts';
import {
  commit,
  commitDecided,
  forgetReleases,
  kernelChangeOf,
  logFailures,
  stillPending,
  type BanChange,
} from './journal.ts';

/** Blocks `address` for one hold. Throws `FIREWALL` when the kernel was not seen to hold the block; then nothing stays. */
export function block(address: Address, request: HoldRequest, context: BanContext): void {
  const holds = makeHolds(request, context.now());
  commitOrUndo([changeOf({ verb: 'add', address, before: null, holds })], context);
}

export interface EachRequest {
  /** The holds that begin on an address, by the ban that it has. */
  readonly holdsFor: (address: Address, before: Ban | null) => readonly [Hold, ...Hold[]];
  /** The user who asked. */
  readonly by?: string;
  /** For a list, which a timer may add every hour: the history has blocks, and no holds on what is blocked already. */
  readonly isList?: boolean;
}

/** A block that was made: the ban before it, and the hold that began with it. */
export type Made = Required<Pick<BanChange, 'address' | 'before' | 'hold'>>;

/**
 * Blocks many, in one firewall transaction per family, each with holds of its own; those that are blocked already keep
 * their rules. Returns what was made. Throws as `block` does, once each part had its turn.
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
  inTurn([
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
 * For an address that execd says is blocked already: its deadline moves, and where the kernel does not hold it, it is
 * blocked again. Returns whether it had to be. Throws as `block` does.
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
    // A rule of our shape without a ban is one of the program that we replace: it is taken over.
    commitOrUndo([{ ...change, takeOver: true }], context);
    return true;
  }
  const change = changeOf({ verb: 'reapplied', address, before, holds });
  try {
    return keepBlocked([change], context).size > 0;
  } catch (error) {
    // The kernel may hold it all the same, and then until the later end.
    recordHolds([change], context);
    throw error;
  }
}

/**
 * Moves the holds of what is blocked, and blocks again what the kernel does not hold: only of that a line is written.
 * Returns those, by their text. Throws as `block` does.
 */
function keepBlocked(changes: readonly BanChange[], context: BanContext): ReadonlySet<string> {
  const { missing, late } = compare(changes, context);
  const settled = changes.filter(
    ({ address }) => !missing.has(address.text) && !late.has(address.text),
  );
  const released = recordHolds(settled, context);
  const isGone = ({ text }: Address): boolean => missing.has(text) || released.has(text);
  const gone = changes.filter(({ address }) => isGone(address));
  // Of these only the kernel's own end of the block moves.
  const moved = changes.filter(({ address }) => late.has(address.text) && !isGone(address));
  commitOrUndo([...gone, ...moved.map((change) => ({ ...change, line: null }))], context);
  return new Set(gone.map(({ address }) => address.text));
}

/** Which of the changes the kernel is not as, and which it would end too early, by their text. */
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
  const whose = by === undefined ? { origin, reason } : { origin, reason, by };
  return { address, to: 'blocked', before, hold, also, line, ...whose };
}

/**
 * A block that fails is undone: `failed` is logged, half a block is removed, and no change stays pending. What was before is
 * read as the change is recorded: another run may have blocked or released the address meanwhile.
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

/** Addresses that are held by others stay as they were; the rest is unblocked again. */
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
    // A program that is not there has changed nothing, so nothing is left to undo. After any other failure the release
    // stays pending for the next run; the error of the block itself is thrown to the caller.
    if (failure instanceof ProgramMissing && error instanceof ProgramMissing)
      forgetReleases(releases, context);
  }
}

/** What was not confirmed may be in the kernel in part, beside rules of somebody else that are not counted yet. */
function unblockAgain({ address, before }: BanChange): BanChange {
  const foreign = before?.foreign ?? null;
  const unconfirmed = { address, phase: 'blocking', sinceMs: 0, holds: [], foreign } as const;
  return { address, to: 'released', before: unconfirmed, line: null, origin: null, reason: '' };
}
