// Ends what is due: a block made for a time ends by itself, whether or not whoever asked for it is still there.
import type { HoldKey } from '../store/store.ts';
import type { Address } from './address.ts';
import type { Ban, Hold, Origin, Outcome } from './ban.ts';
import { forEachFamily } from './families.ts';
import type { Tools } from './tools.ts';

/** Releases every ban whose last hold is over, in one go per family. Returns them; throws `FIREWALL` as `unblock` does. */
export function expireDue(tools: Tools): Ban[] {
  const nowMs = tools.now();
  const due = tools.store.due(nowMs);
  const ending = due.filter((ban) => ban.holds.every((hold) => isOver(hold, nowMs)));
  endSingleHolds(
    due.filter((ban) => !ending.includes(ban)),
    nowMs,
    tools,
  );
  forEachFamily(ending, (bans) => {
    release(bans, tools);
  });
  return ending;
}

function release(bans: readonly Ban[], { store, firewall, announcer, now }: Tools): void {
  const endings = bans.map(endingOf);
  const mark = announcer.mark();
  store.intend(
    endings.map(({ address, outcome }) => {
      return { address, phase: 'unblocking', owed: outcome, mark, hold: null };
    }),
    now(),
  );
  const changes = endings.map(({ address }) => ({ address, to: 'released' as const }));
  firewall.apply(changes, { trustBooks: true });
  for (const { outcome } of endings) announcer.tell(outcome);
  store.confirm(
    endings.map(({ address }) => address),
    endings.map(({ outcome, origin }) => ({ atMs: now(), outcome, origin, reason: 'expired' })),
  );
}

interface Ending {
  readonly address: Address;
  readonly outcome: Outcome;
  readonly origin: Origin | null;
}

/** The line speaks of the alert whose hold kept the address longest. */
function endingOf({ address, holds }: Ban): Ending {
  const last = holds.toSorted((a, b) => (b.expiresAtMs ?? 0) - (a.expiresAtMs ?? 0))[0];
  const incident = last?.incident ?? { alertId: '0.0', ruleId: '0' };
  return { address, outcome: { verb: 'delete', address, incident }, origin: last?.origin ?? null };
}

/** Others still hold the address: only what is over goes, and nobody needs to hear of it. */
function endSingleHolds(bans: readonly Ban[], nowMs: number, { store }: Tools): void {
  const keys: HoldKey[] = bans.flatMap(({ address, holds }) =>
    holds.filter((hold) => isOver(hold, nowMs)).map(({ origin }) => ({ address, origin })),
  );
  if (keys.length > 0) store.dropHolds(keys, []);
}

function isOver(hold: Hold, nowMs: number): boolean {
  return hold.expiresAtMs !== null && hold.expiresAtMs <= nowMs;
}
