// How many bans an address has had, and how long the next one lasts at least, where escalation is configured.
import type { Context } from '../context.ts';
import type { Address } from '../model/address.ts';
import { parseDuration } from '../model/duration.ts';
import { nthTimeout } from '../policy/decide.ts';

export interface Escalation {
  /** Within the window, the one that goes on included. */
  readonly bans: number;
  /** As it is configured: `24h`. */
  readonly next: string;
}

/** Null for every address where escalation is not configured. */
export function readEscalation(
  context: Pick<Context, 'config' | 'store' | 'now'>,
): (address: Address) => Escalation | null {
  const { timeouts, window } = context.config.escalation;
  if (timeouts.length === 0) return () => null;
  const windowMs = (parseDuration(window) ?? 0) * 1000;
  const counts = context.store.offences.count(context.now() - windowMs);
  return ({ text }) => {
    const bans = counts.get(text) ?? 0;
    return { bans, next: nthTimeout(bans + 1, timeouts) };
  };
}
