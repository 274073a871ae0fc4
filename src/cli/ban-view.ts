// Combines bans with their entries in the kernel and the number of earlier bans, for `list`, `export` and `status`.
import type { Context } from '../context.ts';
import { isFullyDropped, type HeldAddress, type Snapshot } from '../firewall/backend.ts';
import type { Family } from '../model/address.ts';
import type { Ban } from '../model/ban.ts';
import { describeError } from '../model/errors.ts';
import { nthTimeout } from '../policy/decide.ts';
import { countedSinceMs } from '../wazuh/policy.ts';
import type { Person } from './session.ts';

export interface BanView {
  readonly ban: Ban;
  readonly kernel: 'yes' | 'missing' | 'unknown';
  readonly held: HeldAddress | undefined;
  readonly backend: string;
  /** null if escalation is not configured. */
  readonly escalation: Escalation | null;
}

/** Returns a view of every ban. */
export function viewBans(context: Context, person: Person): BanView[] {
  const bans = context.store.bans.list();
  const families = new Set(bans.map(({ address }) => address.family));
  const held = new Map(
    Array.from(families, (family) => [family, heldOrNull(family, context, person)]),
  );
  return bans.map(viewer(context, (family) => held.get(family) ?? null));
}

/**
 * Returns a function that combines a ban with the kernel's entry. `heldOf` returns null if the kernel can't be queried.
 */
export function viewer(
  context: Context,
  heldOf: (family: Family) => Snapshot['held'] | null,
): (ban: Ban) => BanView {
  const escalationOf = readEscalation(context);
  const backend = context.firewall.backendName;
  return (ban) => {
    const all = heldOf(ban.address.family);
    const held = all?.get(ban.address.text);
    const missing = all === null ? 'unknown' : 'missing';
    const kernel = isFullyDropped(held) ? 'yes' : missing;
    return { ban, kernel, held, backend, escalation: escalationOf(ban.address.text) };
  };
}

/**
 * Returns the addresses of a family that the kernel drops, keyed by text. If the kernel can't be queried, prints why
 * and returns null.
 */
export function heldOrNull(
  family: Family,
  { firewall }: Context,
  { complain }: Person,
): Snapshot['held'] | null {
  try {
    return firewall.snapshot(family).held;
  } catch (error) {
    complain(`IPv${family}: the kernel can't be queried: ${describeError(error)}`);
    return null;
  }
}

export interface Escalation {
  /** The number of bans within the window, including the current one. */
  readonly bans: number;
  /** The timeout of the next ban, as configured: `24h`. */
  readonly next: string;
}

/** Returns a function from an address to its escalation; the function returns null if escalation is not configured. */
export function readEscalation(
  context: Pick<Context, 'config' | 'store' | 'now'>,
): (address: string) => Escalation | null {
  const { timeouts } = context.config.escalation;
  if (timeouts.length === 0) return () => null;
  const counts = context.store.offences.count(countedSinceMs(context.config, context.now()));
  return (address) => {
    const bans = counts.get(address) ?? 0;
    return { bans, next: nthTimeout(bans + 1, timeouts) };
  };
}
