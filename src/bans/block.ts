// Blocks addresses: intent, kernel, line, books. Dying between any two of them loses nothing.
import type { Change } from '../firewall/backend.ts';
import { step } from '../system/fault.ts';
import type { HistoryEntry, UnfinishedBan } from '../state/store.ts';
import type { Address } from '../model/address.ts';
import {
  makeHold,
  remainingSeconds,
  type Ban,
  type Hold,
  type HoldRequest,
  type Outcome,
} from '../model/ban.ts';
import { forEachFamily } from './families.ts';
import type { Tools } from './tools.ts';

/** Blocks `address` for one hold. Throws `FIREWALL` when the kernel was not seen to hold the block; then nothing stays. */
export function block(address: Address, request: HoldRequest, tools: Tools): void {
  blockAll([address], request, tools);
}

/** Blocks many at once, in one firewall transaction per family. Throws as `block` does, once each family had its turn. */
export function blockAll(addresses: readonly Address[], request: HoldRequest, tools: Tools): void {
  const hold = makeHold(request, tools.now());
  const unique = new Map(addresses.map((address) => [address.text, address]));
  const known = tools.store.findAll([...unique.values()]);
  const wanted = Array.from(unique.values(), (address) => {
    return { address, before: known.get(address.text) ?? null };
  });
  forEachFamily(wanted, (own) => {
    blockFamily(own, hold, tools);
  });
}

/** Books, kernel, log, books: what the progress of a long list is told in. */
const STAGES = 4;

interface Wanted {
  readonly address: Address;
  /** What the books held until now. */
  readonly before: UnfinishedBan | null;
}

function blockFamily(wanted: readonly Wanted[], hold: Hold, tools: Tools): void {
  const { store, firewall, responseLog, now } = tools;
  const outcomes = wanted.map(({ address }) => outcomeOf('add', address, hold));
  const mark = responseLog.offset();
  store.intend(
    outcomes.map((owed) => ({ address: owed.address, phase: 'blocking', owed, mark, hold })),
    now(),
  );
  step('block: intent written');
  tools.onProgress(1, STAGES);
  try {
    firewall.apply(
      wanted.map((one) => changeFor(one.address, one.before, hold)),
      { trustState: wanted.every(({ before }) => before === null) },
    );
  } catch (error) {
    giveUp(wanted, hold, tools);
    throw error;
  }
  step('block: kernel told');
  tools.onProgress(2, STAGES);
  responseLog.write(outcomes);
  step('block: line written');
  tools.onProgress(3, STAGES);
  store.confirm(
    wanted.map(({ address }) => address),
    outcomes.map((outcome) => historyOf(outcome, hold, tools)),
  );
  step('block: books confirmed');
  tools.cutConnections(wanted.map(({ address }) => address));
  tools.onProgress(STAGES, STAGES);
}

/** The kernel keeps the block for whoever holds it longest. */
function changeFor(address: Address, before: Ban | null, hold: Hold): Change {
  const others = before === null || before.phase === 'unblocking' ? [] : before.holds;
  const holds = [...others.filter(({ origin }) => origin !== hold.origin), hold];
  return { address, to: 'blocked', timeoutSeconds: remainingSeconds(holds, hold.addedMs) };
}

/**
 * For an address that is said to be blocked already: its deadline moves, and if books or kernel disagree it is blocked
 * again. Returns whether it had to be. Throws as `block` does.
 */
export function ensureBlocked(address: Address, request: HoldRequest, tools: Tools): boolean {
  const { store, firewall, responseLog, now } = tools;
  const known = store.find(address);
  if (known?.phase !== 'blocked') {
    block(address, request, tools);
    return true;
  }
  const hold = makeHold(request, tools.now());
  store.hold(address, hold);
  step('ensureBlocked: hold written');
  const owed = outcomeOf('reapplied', address, hold);
  const owe = (): void => {
    store.intend([{ address, phase: 'blocking', owed, mark: responseLog.offset(), hold }], now());
    step('ensureBlocked: intent written');
  };
  try {
    const change = changeFor(address, known, hold);
    const outcome = firewall.apply([change], { trustState: false, beforeChange: owe });
    step('ensureBlocked: kernel told');
    if (outcome === 'unchanged') return false;
  } catch (error) {
    note([outcomeOf('failed', address, hold)], hold, tools);
    // The books are as before: what the kernel lacks, the next one to ask or `restore` puts back.
    store.confirm([address], []);
    throw error;
  }
  responseLog.write([owed]);
  step('ensureBlocked: line written');
  store.confirm([address], [historyOf(owed, hold, tools)]);
  tools.cutConnections([address]);
  return true;
}

/** The kernel did not obey: say so, and leave neither half a block nor a promise of one. */
function giveUp(wanted: readonly Wanted[], hold: Hold, tools: Tools): void {
  const { store, firewall, now } = tools;
  note(
    wanted.map(({ address }) => outcomeOf('failed', address, hold)),
    hold,
    tools,
  );
  step('give up: failure told');
  const held = wanted.flatMap(({ before }) => (isHeldAnyway(before, hold) ? (before ?? []) : []));
  store.revert(held);
  const undone = wanted.filter(({ before }) => !isHeldAnyway(before, hold));
  const addresses = undone.map(({ address }) => address);
  store.intend(
    addresses.map((address) => {
      return { address, phase: 'unblocking', owed: null, mark: null, hold: null };
    }),
    now(),
  );
  step('give up: intent written');
  try {
    firewall.apply(
      addresses.map((address) => ({ address, to: 'released' })),
      { trustState: false },
    );
    step('give up: kernel told');
    store.confirm(addresses, []);
  } catch {
    // The same trouble again, and it is on its way to the caller; the intents stay for the next run.
  }
}

/** Blocked before, or held by somebody else for whom an earlier run could not finish its work. */
function isHeldAnyway(before: Ban | null, { origin }: Hold): boolean {
  if (before === null || before.phase === 'unblocking') return false;
  return before.phase === 'blocked' || before.holds.some((other) => other.origin !== origin);
}

function note(outcomes: readonly Outcome[], hold: Hold, tools: Tools): void {
  tools.responseLog.write(outcomes);
  tools.store.record(outcomes.map((outcome) => historyOf(outcome, hold, tools)));
}

function outcomeOf(verb: Outcome['verb'], address: Address, { alertRef }: Hold): Outcome {
  return { verb, address, alertRef };
}

function historyOf(outcome: Outcome, hold: Hold, { now }: Tools): HistoryEntry {
  return { atMs: now(), outcome, origin: hold.origin, reason: hold.reason };
}
