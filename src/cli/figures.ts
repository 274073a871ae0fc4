// Values and descriptions that several commands report.
import { statSync } from 'node:fs';
import { STATE_DIRECTORY, type Context } from '../context.ts';
import type { Drift } from '../bans/reconcile.ts';
import type { Tally } from '../state/history.ts';

/** Returns the size of the database with its write-ahead log, in bytes; null if there is no database. */
export function stateBytes(): number | null {
  const [file, log] = ['', '-wal'].map((suffix) => {
    return statSync(`${STATE_DIRECTORY}/state.db${suffix}`, { throwIfNoEntry: false })?.size;
  });
  return file === undefined ? null : file + (log ?? 0);
}

const CHANGES: readonly string[] = ['add', 'delete', 'expire', 'reapplied'];

/** Returns the time of the last successful change in the kernel, in Unix milliseconds; null if there was none. */
export function lastChangeMs(tallies: readonly Tally[]): number | null {
  const times = tallies.filter(({ event }) => CHANGES.includes(event)).map(({ lastMs }) => lastMs);
  return times.length === 0 ? null : Math.max(...times);
}

/** Says why changes are pending. Applies only if the state can be written. */
export function describePendingCause({ atWork }: Pick<Drift, 'atWork'>): string {
  return atWork === null
    ? 'an earlier run was interrupted'
    : `process ${atWork} holds the writer lock and may be completing them`;
}

/** Describes sets of ours that are in the kernel although another backend is active. */
export function describeUnknownSets(unknown: string, { backendName }: Context['firewall']): string {
  return `the bans are in ${backendName}, but ${unknown} has sets of ours as well: they drop addresses that belong to no ban`;
}
