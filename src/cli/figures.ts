// Figures of this host that `status` and `metrics` both give.
import { statSync } from 'node:fs';
import { STATE_DIRECTORY, type Context } from '../context.ts';
import type { Drift } from '../bans/reconcile.ts';
import type { Tally } from '../state/history.ts';

/** The database with its write-ahead log; null when there is no database. */
export function stateBytes(): number | null {
  const [file, log] = ['', '-wal'].map((suffix) => {
    return statSync(`${STATE_DIRECTORY}/state.db${suffix}`, { throwIfNoEntry: false })?.size;
  });
  return file === undefined ? null : file + (log ?? 0);
}

const CHANGES: readonly string[] = ['add', 'delete', 'expire', 'reapplied'];

/** When the kernel was last changed as asked; null: never. */
export function lastChangeMs(tallies: readonly Tally[]): number | null {
  const times = tallies.filter(({ event }) => CHANGES.includes(event)).map(({ lastMs }) => lastMs);
  return times.length === 0 ? null : Math.max(...times);
}

/** Why changes are pending, as far as the state could be written. */
export function whyPending({ atWork }: Pick<Drift, 'atWork'>): string {
  return atWork === null
    ? 'an earlier run was interrupted'
    : `process ${atWork} has the writer lock, and may be at work on them`;
}

/** Of sets that are in the kernel beside the active backend. */
export function describeUnknownSets(unknown: string, { backendName }: Context['firewall']): string {
  return `the bans are in ${backendName}, and ${unknown} has sets of ours too: what they hold is dropped, and belongs to no ban`;
}
