// The hold that `add` and `extend` create: its value when an address is added again, and the messages about it.
import type { Made } from '../bans/block.ts';
import { alertRefAt, livingHolds, makeHold, type Ban, type Hold } from '../model/ban.ts';
import { MOST_NAMED } from './addresses.ts';
import { formatDuration, momentText } from './output/time.ts';
import type { Person } from './session.ts';

export interface Order {
  /** In seconds; null for no end; undefined if not given. */
  readonly timeoutSeconds: number | null | undefined;
  /** undefined if not given. */
  readonly reason: string | undefined;
  readonly force: boolean;
  /** True if an existing manual hold is ignored. */
  readonly replace: boolean;
}

export interface Times {
  /** The timeout of a new hold; null for no end. */
  readonly usualSeconds: number | null;
  readonly nowMs: number;
}

/** Applies `holdAfter` to a list. Consecutive equal holds share one object, which saves memory and comparisons. */
export function holdsAfter(order: Order, times: Times): (before: Ban | null) => Hold {
  let last: { readonly text: string; readonly hold: Hold } | null = null;
  return (before) => {
    const hold = holdAfter(order, before, times);
    // The caller recognises an unchanged hold by its identity.
    if (before?.holds.includes(hold) === true) return hold;
    const text = JSON.stringify(hold);
    if (last?.text !== text) last = { text, hold };
    return last.hold;
  };
}

/** Returns the hold after an order. What the order leaves out stays unchanged; `usualSeconds` applies to a new hold. */
export function holdAfter(order: Order, before: Ban | null, { usualSeconds, nowMs }: Times): Hold {
  const known = order.replace ? undefined : manualHoldOf(before);
  const asked = order.timeoutSeconds;
  const fresh = makeHold(
    {
      origin: 'manual',
      timeoutSeconds: asked === undefined ? usualSeconds : asked,
      alertRef: alertRefAt(nowMs),
      reason: order.reason ?? known?.reason ?? '',
      forced: order.force || known?.forced === true,
    },
    nowMs,
  );
  if (known === undefined || asked !== undefined) return fresh;
  const { reason, forced } = fresh;
  if (reason === known.reason && forced === known.forced) return known;
  return { ...known, reason, forced };
}

export function manualHoldOf(ban: Ban | null): Hold | undefined {
  return livingHolds(ban).find(({ origin }) => origin === 'manual');
}

/** Prints until when each address is now blocked, and what has changed. */
export function printBlocked(made: readonly Made[], nowMs: number, { print }: Person): void {
  if (made.length <= MOST_NAMED) {
    for (const one of made) print(describeOne(one, nowMs));
    return;
  }
  const moments = new Set(made.map(({ hold }) => hold.expiresAtMs));
  const ends = new Set(Array.from(moments, (expiresAtMs) => endText({ expiresAtMs }, nowMs)));
  const end = ends.size === 1 ? ` ${[...ends].join('')}` : '';
  const again = made.filter(({ before }) => before !== null).length;
  print(`${made.length} blocked${end}${again === 0 ? '' : `; already blocked before: ${again}`}`);
}

function describeOne({ address, before, hold }: Made, nowMs: number): string {
  const known = manualHoldOf(before);
  const others = before?.phase === 'blocked' ? before.holds : [];
  const also = others
    .filter(({ origin }) => origin !== 'manual')
    .map((other) => `; ${other.origin} holds it ${endText(other, nowMs)}`)
    .join('');
  const end = endText(hold, nowMs);
  if (known === undefined) return `${address.text} blocked ${end}${also}`;
  const reason = known.reason === hold.reason ? '' : '; reason changed';
  if (known.expiresAtMs === hold.expiresAtMs) {
    return `${address.text} was already blocked ${end}${reason}${also}`;
  }
  return `${address.text} blocked ${end}; previously ${endText(known, nowMs)}${reason}${also}`;
}

/** Returns `until 14:05 UTC (2h)` or `until released`. */
function endText({ expiresAtMs }: Pick<Hold, 'expiresAtMs'>, nowMs: number): string {
  if (expiresAtMs === null) return 'until released';
  return `until ${momentText(expiresAtMs, nowMs)} (${formatDuration((expiresAtMs - nowMs) / 1000)})`;
}
