// Blocks an address: intent, kernel, line, books. Dying between any two of them loses nothing.
import type { HistoryEntry } from '../store/store.ts';
import type { Address } from './address.ts';
import { makeHold, type Ban, type Hold, type HoldRequest, type Outcome } from './ban.ts';
import type { Tools } from './tools.ts';

/** Blocks `address` for one hold. Throws `FIREWALL` when the kernel was not seen to hold the block; then nothing stays. */
export function block(address: Address, request: HoldRequest, tools: Tools): void {
  const { store, firewall, announcer } = tools;
  const before = store.find(address);
  const hold = makeHold(request, tools.now());
  const owed: Outcome = { verb: 'add', address, incident: hold.incident };
  const mark = announcer.mark();
  store.intend([{ address, phase: 'blocking', owed, mark, hold }], tools.now());
  try {
    firewall.apply([{ address, to: 'blocked' }], { trustBooks: before === null });
  } catch (error) {
    giveUp(address, hold, before, tools);
    throw error;
  }
  announcer.tell(owed);
  store.confirm([address], [historyOf(owed, hold, tools)]);
}

/**
 * For an address that is said to be blocked already: its deadline moves, and if books or kernel disagree it is blocked
 * again. Returns whether it had to be. Throws as `block` does.
 */
export function ensureBlocked(address: Address, request: HoldRequest, tools: Tools): boolean {
  const { store, firewall, announcer } = tools;
  const known = store.find(address);
  if (known?.phase !== 'blocked') {
    block(address, request, tools);
    return true;
  }
  const hold = makeHold(request, tools.now());
  store.hold(address, hold);
  const outcome: Outcome = { verb: 'reapplied', address, incident: hold.incident };
  try {
    if (firewall.apply([{ address, to: 'blocked' }], { trustBooks: false }) === 'unchanged')
      return false;
  } catch (error) {
    fail(address, hold, tools);
    throw error;
  }
  announcer.tell(outcome);
  store.record(historyOf(outcome, hold, tools));
  return true;
}

/** The kernel did not obey: say so, and leave neither half a block nor a promise of one. */
function giveUp(address: Address, hold: Hold, before: Ban | null, tools: Tools): void {
  fail(address, hold, tools);
  if (before?.phase === 'blocked') {
    tools.store.revert(before);
    return;
  }
  tools.store.intend(
    [{ address, phase: 'unblocking', owed: null, mark: null, hold: null }],
    tools.now(),
  );
  try {
    tools.firewall.apply([{ address, to: 'released' }], { trustBooks: false });
    tools.store.confirm([address], []);
  } catch {
    // The same trouble again, and it is on its way to the caller; the intent stays for the next run.
  }
}

function fail(address: Address, hold: Hold, tools: Tools): void {
  const outcome: Outcome = { verb: 'failed', address, incident: hold.incident };
  tools.announcer.tell(outcome);
  tools.store.record(historyOf(outcome, hold, tools));
}

function historyOf(outcome: Outcome, hold: Hold, { now }: Tools): HistoryEntry {
  return { atMs: now(), outcome, origin: hold.origin, reason: hold.reason };
}
