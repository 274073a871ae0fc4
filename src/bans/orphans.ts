// Removes plain rules of ours that were saved to a file during a block and loaded again at boot, after the block had
// ended.
//
// Such a rule looks like one that an administrator added. It is removed only if all evidence agrees; in doubt it stays
// (docs/decisions/0009-saved-rules.md).
import type { Config } from '../config/schema.ts';
import type { HeldAddress } from '../firewall/backend.ts';
import { heldBy, readRules } from '../firewall/iptables/rules.ts';
import { optionalChainsOf } from '../firewall/select.ts';
import type { Address, Family } from '../model/address.ts';
import { alertRefAt } from '../model/ban.ts';
import { describeError } from '../model/errors.ts';
import type { HistoryRecord } from '../state/history.ts';
import type { Store } from '../state/store.ts';
import { readRegularFile } from '../system/files.ts';
import { isWritableByOthers, lstatOrNull } from '../system/paths.ts';
import type { ClockReading } from '../system/procfs.ts';
import type { BanContext } from './context.ts';
import { commit, type BanChange } from './journal.ts';

/** The plain rules of a file that is loaded at boot. */
export interface SavedFile {
  readonly path: string;
  readonly savedMs: number;
  /** The addresses that the file drops in our chains, by their text. */
  readonly held: ReadonlyMap<string, HeldAddress>;
}

export interface Orphan {
  readonly address: Address;
  readonly path: string;
}

export interface OrphanSearch {
  readonly files: readonly SavedFile[];
  readonly clock: ClockReading;
  /** The chains that must have had our rule. */
  readonly chains: readonly string[];
}

const LAST_BOOT = 'boot of the last look at saved rules';
/** The most history records to read for one address. No address is expected to have more since the file was saved. */
const MOST_RECORDS = 1000;

/**
 * Removes rules that a saved file restored at boot, in the first run after the boot only, so that rules added later
 * stay. Throws `FIREWALL` as a release does; the next run then tries again.
 */
export function releaseOrphans(search: OrphanSearch, context: BanContext): Orphan[] {
  const { store, firewall, now } = context;
  const { bootId } = search.clock;
  const lastBoot = store.metadata.get(LAST_BOOT);
  if (bootId === '' || lastBoot === bootId) return [];
  // While sets are in use, a plain rule in a file is older than the sets or was never ours.
  const isDue = lastBoot !== null && firewall.backendName === 'iptables';
  const orphans = isDue ? findOrphans(search, context) : [];
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

/**
 * Records the boot if none is recorded yet. Must be called often: without an earlier record, `releaseOrphans` can't
 * detect a boot.
 */
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
  // Inspect the kernel only for families with candidates.
  const families = new Set(likely.map(({ address }) => address.family));
  const held = new Map([...families].map((family) => [family, firewall.snapshot(family).held]));
  const heldOf = (family: Family, text: string): readonly string[] => {
    return held.get(family)?.get(text)?.chains ?? [];
  };
  return likely.filter(({ address }) => isOnceInEach(heldOf(address.family, address.text), chains));
}

/** Reports whether each chain has the rule exactly once. A second rule with the same text would be foreign. */
function isOnceInEach(found: readonly string[], chains: readonly string[]): boolean {
  return new Set(found).size === found.length && chains.every((chain) => found.includes(chain));
}

/**
 * Reports whether, according to the history, the address was blocked when the file was saved, and has been unblocked
 * since before the boot.
 */
function wasOurs(records: readonly HistoryRecord[], savedMs: number, bootMs: number): boolean {
  const changes = records.filter(({ outcome }) => {
    return ['add', 'reapplied', 'delete'].includes(outcome.verb);
  });
  const before = changes.findLast(({ atMs }) => atMs < savedMs);
  const last = changes.at(-1);
  if (before === undefined || last === undefined || before.outcome.verb === 'delete') return false;
  return last.outcome.verb === 'delete' && last.atMs < bootMs;
}

export const SAVED_RULES: readonly string[] = [
  '/etc/iptables/rules.v4',
  '/etc/iptables/rules.v6',
  '/etc/sysconfig/iptables',
  '/etc/sysconfig/ip6tables',
];

const LARGEST_SAVED = 64 * 1024 * 1024;

/**
 * Reads saved rules, from files that only root can write, since others prove nothing. Reports files that can't be read
 * and skips them.
 */
export function readSavedFiles({ firewall }: Config, warn: (problem: string) => void): SavedFile[] {
  return SAVED_RULES.flatMap((path) => {
    const stats = lstatOrNull(path);
    if (stats?.isFile() !== true || stats.uid !== 0 || isWritableByOthers(stats)) return [];
    try {
      const { rules } = readRules(readRegularFile(path, LARGEST_SAVED).toString('utf8'));
      const held = heldBy(rules, [...firewall.chains, ...optionalChainsOf(firewall)]);
      return [{ path, savedMs: stats.mtimeMs, held }];
    } catch (error) {
      warn(`${path} can't be read: ${describeError(error)}`);
      return [];
    }
  });
}
