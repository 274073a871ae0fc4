// Ends what is due: a block made for a time ends by itself, whether or not whoever asked for it is still there.
import { step } from '../system/fault.ts';
import type { HoldKey } from '../state/store.ts';
import { EXPIRED, type Ban, type Hold } from '../model/ban.ts';
import { release, type Ending } from './release.ts';
import type { Tools } from './tools.ts';

/** When `expire` last ran, in Unix milliseconds: shows that a timer is alive. Written with the history's own change. */
export const LAST_EXPIRE_FACT = 'last expire';

/** Releases every ban whose last hold is over, in one go per family. Returns them; throws `FIREWALL` as `release` does. */
export function expireDue(tools: Tools): Ban[] {
  const nowMs = tools.now();
  const due = tools.store.due(nowMs);
  const [ending, lasting] = partition(due, (ban) => ban.holds.every((hold) => isOver(hold, nowMs)));
  step('expire: begun');
  endSingleHolds(lasting, nowMs, tools);
  step('expire: single holds ended');
  release(ending.map(endingOf), tools);
  return ending;
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const groups = Map.groupBy(items, test);
  return [groups.get(true) ?? [], groups.get(false) ?? []];
}

/** The line speaks of the alert whose hold kept the address longest. */
function endingOf({ address, holds }: Ban): Ending {
  const last = holds.toSorted((a, b) => (b.expiresAtMs ?? 0) - (a.expiresAtMs ?? 0))[0];
  const alertRef = last?.alertRef ?? { alertId: '0.0', ruleId: '0' };
  return { address, alertRef, origin: last?.origin ?? null, reason: EXPIRED, inState: true };
}

/** Others still hold the address: only what is over goes, and nobody needs to hear of it. */
function endSingleHolds(bans: readonly Ban[], nowMs: number, { store }: Tools): void {
  const keys: HoldKey[] = bans.flatMap(({ address, holds }) =>
    holds.filter((hold) => isOver(hold, nowMs)).map(({ origin }) => ({ address, origin })),
  );
  if (keys.length > 0) store.dropHolds(keys);
}

function isOver(hold: Hold, nowMs: number): boolean {
  return hold.expiresAtMs !== null && hold.expiresAtMs <= nowMs;
}
