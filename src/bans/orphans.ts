// Plain rules of ours that somebody saved to a file while a block lasted, and that the file brings back once it is over.
//
// Such a rule looks like one that an admin typed. It is taken out only where all of the evidence is there; what is
// doubtful is left alone (docs/decisions/0009-saved-rules.md).
import type { HeldAddress } from '../firewall/snapshot.ts';
import type { ClockReading } from '../system/clock.ts';
import type { HistoryRecord } from '../state/history.ts';
import type { Store } from '../state/store.ts';
import type { Address, Family } from '../model/address.ts';
import { alertRefAt } from '../model/ban.ts';
import type { BanContext } from './context.ts';
import { commit, type BanChange } from './journal.ts';

/** A file that is loaded at boot, as far as it has plain drops. */
export interface SavedFile {
  readonly path: string;
  readonly savedMs: number;
  /** What it drops in chains where our rules stand, by the address's text. */
  readonly held: ReadonlyMap<string, HeldAddress>;
}

export interface Orphan {
  readonly address: Address;
  readonly path: string;
}

export interface OrphanSearch {
  readonly files: readonly SavedFile[];
  readonly clock: ClockReading;
  /** Chains that must have had our rule. */
  readonly chains: readonly string[];
}

const LAST_BOOT = 'boot of the last look at saved rules';
/** More changes of one address than a file can be older than. */
const MOST_RECORDS = 1000;

/**
 * Releases what a saved file brought back at boot, at the first look after it: a rule that somebody types later stays.
 * Throws `FIREWALL` as a release does; the next run then looks again.
 */
export function releaseOrphans(search: OrphanSearch, context: BanContext): Orphan[] {
  const { store, firewall, now } = context;
  const { bootId } = search.clock;
  const lastBoot = store.metadata.get(LAST_BOOT);
  if (bootId === '' || lastBoot === bootId) return [];
  // With sets in use, a plain rule in a file is from before them or was never ours.
  const isTime = lastBoot !== null && firewall.backendName === 'iptables';
  const orphans = isTime ? findOrphans(search, context) : [];
  if (orphans.length > 0) {
    const alertRef = alertRefAt(now());
    const changes = orphans.map(({ address, path }): BanChange => {
      const line = { verb: 'delete', address, alertRef } as const;
      const reason = `came back from ${path}`;
      return { address, to: 'released', before: null, line, origin: null, reason };
    });
    commit(changes, context);
  }
  store.metadata.set(LAST_BOOT, bootId);
  return orphans;
}

/** From now on a boot is noticed. To be called often: where it never was, the first look finds nothing. */
export function noteBoot(store: Store, { bootId }: ClockReading): void {
  if (store.metadata.get(LAST_BOOT) === null && bootId !== '')
    store.metadata.set(LAST_BOOT, bootId);
}

function findOrphans(
  { files, clock, chains }: OrphanSearch,
  { store, firewall }: BanContext,
): Orphan[] {
  const bootMs = clock.wallMs - clock.uptimeMs;
  const likely = files.flatMap(({ path, savedMs, held }) => {
    return [...held.values()].flatMap(({ address, chains: saved }) => {
      if (!isOnceInEach(saved, chains)) return [];
      const records = store.history.find({ address, limit: MOST_RECORDS });
      return wasOurs(records, savedMs, bootMs) ? [{ address, path }] : [];
    });
  });
  // The kernel is asked only where there is something to ask for.
  const families = new Set(likely.map(({ address }) => address.family));
  const held = new Map([...families].map((family) => [family, firewall.snapshot(family).held]));
  const heldOf = (family: Family, text: string): readonly string[] => {
    return held.get(family)?.get(text)?.chains ?? [];
  };
  return likely.filter(({ address }) => isOnceInEach(heldOf(address.family, address.text), chains));
}

/** A second rule of the same words would be somebody else's. */
function isOnceInEach(found: readonly string[], chains: readonly string[]): boolean {
  return new Set(found).size === found.length && chains.every((chain) => found.includes(chain));
}

/** Whether by the history the address was blocked when the file was saved, is not blocked now, and was not since the boot. */
function wasOurs(records: readonly HistoryRecord[], savedMs: number, bootMs: number): boolean {
  const changes = records.filter(({ outcome }) => {
    return ['add', 'reapplied', 'delete'].includes(outcome.verb);
  });
  const before = changes.findLast(({ atMs }) => atMs < savedMs);
  const last = changes.at(-1);
  if (before === undefined || last === undefined || before.outcome.verb === 'delete') return false;
  return last.outcome.verb === 'delete' && last.atMs < bootMs;
}
