// How many bans an address has had, and how long the next one lasts at least, where escalation is configured.
import type { Context } from '../context.ts';
import type { Address } from '../model/address.ts';
import { nthTimeout } from '../policy/decide.ts';
import { countedSinceMs } from '../wazuh/policy.ts';

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
  const { timeouts } = context.config.escalation;
  if (timeouts.length === 0) return () => null;
  const counts = context.store.offences.count(countedSinceMs(context.config, context.now()));
  return ({ text }) => {
    const bans = counts.get(text) ?? 0;
    return { bans, next: nthTimeout(bans + 1, timeouts) };
  };
}
