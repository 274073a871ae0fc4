// Brings books and kernel together again after a crash, a reboot or somebody's flush.
import type { Change, HeldAddress } from '../firewall/backend.ts';
import { step } from '../system/fault.ts';
import type { Command } from '../system/exec.ts';
import type { HistoryEntry, UnfinishedBan } from '../state/store.ts';
import type { Address, Family } from '../model/address.ts';
import { alertRefAt, remainingSeconds, type Ban, type Outcome } from '../model/ban.ts';
import { forEachFamily, inTurn } from './families.ts';
import type { Tools } from './tools.ts';
import { unblockAll } from './unblock.ts';

/** Finishes what an earlier run began: its change, its line, its books. Throws `FIREWALL` and leaves the intents. */
export function finishInterrupted(tools: Tools): void {
  forEachFamily(tools.store.unfinished(), (bans) => {
    finish(bans, tools);
  });
}

function finish(bans: readonly UnfinishedBan[], tools: Tools): void {
  const { store, firewall, responseLog, now } = tools;
  const nowMs = now();
  firewall.apply(
    bans.map((ban) => changeOf(ban, nowMs)),
    { trustState: false },
  );
  step('finish: kernel told');
  responseLog.write(untoldOf(bans, responseLog));
  step('finish: lines written');
  store.confirm(
    bans.map((ban) => ban.address),
    bans.flatMap((ban) => historyOf(ban, now())),
  );
  step('finish: books confirmed');
  const blocked = bans.filter(({ phase }) => phase === 'blocking');
  tools.cutConnections(blocked.map(({ address }) => address));
}

/** The log is searched once for all that began at the same time: a list may have died with a hundred thousand of them. */
function untoldOf(bans: readonly UnfinishedBan[], responseLog: Tools['responseLog']): Outcome[] {
  const byMark = Map.groupBy(bans, ({ mark }) => JSON.stringify(mark));
  return [...byMark.values()].flatMap((own) => {
    const owed = own.flatMap((ban) => ban.owed ?? []);
    return owed.length === 0 ? [] : responseLog.missing(own[0]?.mark ?? null, owed);
  });
}

export interface RestoreOutcome {
  /** Bans that the kernel now holds as the books do. */
  readonly blocked: readonly Ban[];
  /** Bans on addresses that have become protected, and were released. */
  readonly released: readonly Ban[];
  /** Whether the kernel had to be changed for the ones that stay. */
  readonly changed: boolean;
}

/**
 * Makes the kernel hold every ban of the books. Bans on addresses that have become protected are released instead: a
 * gateway that moved must not be shut out by an old ban.
 */
export function restore(tools: Tools, isProtected: (address: Address) => boolean): RestoreOutcome {
  const bans = tools.store.list().filter((ban) => ban.phase === 'blocked');
  const released = bans.filter((ban) => isProtected(ban.address));
  const isReleased = new Set(released);
  const blocked = bans.filter((ban) => !isReleased.has(ban));
  let changed = false;
  inTurn([
    () => {
      forEachFamily(blocked, (own) => {
        const changes = own.map((ban) => changeOf(ban, tools.now()));
        if (tools.firewall.apply(changes, { trustState: false }) === 'unchanged') return;
        changed = true;
        tools.cutConnections(own.map(({ address }) => address));
      });
    },
    () => {
      step('restore: blocks put back');
      const alertRef = alertRefAt(tools.now());
      const addresses = released.map(({ address }) => address);
      unblockAll(addresses, { origin: null, alertRef }, tools);
    },
  ]);
  step('restore: done');
  return { blocked, released, changed };
}

/** What the books say that the kernel shall do. */
export function changeOf({ address, phase, holds }: Ban, nowMs: number): Change {
  if (phase === 'unblocking') return { address, to: 'released' };
  return { address, to: 'blocked', timeoutSeconds: remainingSeconds(holds, nowMs) };
}

function historyOf({ owed, holds }: UnfinishedBan, atMs: number): HistoryEntry[] {
  if (owed === null) return [];
  const origin = holds[0]?.origin ?? null;
  return [{ atMs, outcome: owed, origin, reason: 'finished after an interruption' }];
}

export interface Drift {
  /** Bans with a change that an interrupted run left pending. */
  readonly pending: readonly Ban[];
  /** Bans of which the kernel holds no rule at all. */
  readonly missing: readonly Ban[];
  /** Rules of our shape that no ban stands behind: an admin's, or from before the books were begun. */
  readonly unknown: readonly HeldAddress[];
  /** What would be run to make the kernel hold all bans; also for rules that are twice or not first. */
  readonly steps: readonly Command[];
}

/** Where books and kernel differ. Looks only; throws `FIREWALL` when the kernel can't be asked. */
export function findDrift({ store, firewall, now }: Tools, families: readonly Family[]): Drift {
  const bans = store.list();
  const known = new Set(bans.map((ban) => ban.address.text));
  const held = new Map(families.flatMap((family) => [...firewall.snapshot(family).held]));
  const nowMs = now();
  return {
    pending: bans.filter(({ phase }) => phase !== 'blocked'),
    missing: bans.filter(({ phase, address }) => phase === 'blocked' && !held.has(address.text)),
    unknown: [...held.values()].filter(({ address }) => !known.has(address.text)),
    steps: firewall.plan(bans.map((ban) => changeOf(ban, nowMs))),
  };
}
