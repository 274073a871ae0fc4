// Points in time, in UTC, which means the same on every host of a fleet.
import type { Tally } from '../../state/history.ts';

export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** `2026-11-24 04:05:06` */
export function shortTime(milliseconds: number): string {
  return isoTime(milliseconds).slice(0, 19).replace('T', ' ');
}

/** `14:05 UTC` for a time of the same day, otherwise with its date. */
export function momentText(milliseconds: number, nowMs: number): string {
  const text = shortTime(milliseconds).slice(0, -3);
  const isToday = text.slice(0, 10) === shortTime(nowMs).slice(0, 10);
  return `${isToday ? text.slice(11) : text} UTC`;
}

const CHANGES: readonly string[] = ['add', 'delete', 'expire', 'reapplied'];

/** When the kernel was last changed as asked; null: never. */
export function lastChangeMs(tallies: readonly Tally[]): number | null {
  const times = tallies.filter(({ event }) => CHANGES.includes(event)).map(({ lastMs }) => lastMs);
  return times.length === 0 ? null : Math.max(...times);
}
