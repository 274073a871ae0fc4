// Bans with what the kernel holds of them, and how often their addresses were banned: the rows of `list`, and what `export`
// writes.
import type { Context } from '../context.ts';
import { isWhole, type HeldAddress, type Snapshot } from '../firewall/snapshot.ts';
import type { Address, Family } from '../model/address.ts';
import type { Ban, Hold } from '../model/ban.ts';
import { describeError } from '../model/errors.ts';
import { nthTimeout } from '../policy/decide.ts';
import { countedSinceMs } from '../wazuh/policy.ts';
import { banToJson, type BanJson } from './output/json.ts';
import type { Person } from './session.ts';

export interface Entry {
  readonly ban: Ban;
  /** Undefined for a ban that is only being released. */
  readonly hold: Hold | undefined;
  readonly kernel: 'yes' | 'missing' | 'unknown';
  readonly held: HeldAddress | undefined;
  readonly backend: string;
  /** Null where escalation is not configured. */
  readonly escalation: Escalation | null;
}

/** One for each hold. */
export function readEntries(context: Context, person: Person): Entry[] {
  const { store, firewall } = context;
  const escalationOf = readEscalation(context);
  const bans = store.bans.list();
  const held = new Map<string, HeldAddress>();
  const unknown = new Set<number>();
  for (const family of new Set(bans.map((ban) => ban.address.family))) {
    const own = heldOrNull(family, context, person);
    if (own === null) unknown.add(family);
    for (const [text, one] of own ?? []) held.set(text, one);
  }
  return bans.flatMap((ban) => {
    const found = held.get(ban.address.text);
    const missing = unknown.has(ban.address.family) ? 'unknown' : 'missing';
    const kernel = isWhole(found) ? 'yes' : missing;
    const holds: (Hold | undefined)[] = ban.holds.length === 0 ? [undefined] : [...ban.holds];
    return holds.map((hold): Entry => ({
      ban,
      hold,
      kernel,
      held: found,
      backend: firewall.backendName,
      escalation: escalationOf(ban.address),
    }));
  });
}

/** What the kernel drops of a family, by the address's text; null where it can't be asked, which is said. */
export function heldOrNull(
  family: Family,
  { firewall }: Context,
  { complain }: Person,
): Snapshot['held'] | null {
  try {
    return firewall.snapshot(family).held;
  } catch (error) {
    complain(`IPv${family}: the kernel can't be asked: ${describeError(error)}`);
    return null;
  }
}

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

/** Rows are holds, documents are bans: those of one ban come together again. */
export function entriesToJson(entries: readonly Entry[]): BanJson[] {
  const groups = Map.groupBy(entries, (entry) => entry.ban);
  return Array.from(groups).flatMap(([ban, own]) => {
    const holds = own.flatMap(({ hold }) => (hold === undefined ? [] : [hold]));
    const [first] = own;
    return first === undefined ? [] : [banToJson(ban, holds, first)];
  });
}
