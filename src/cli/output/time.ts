// Points in time, in UTC, which means the same on every host of a fleet.

export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** `2026-11-24 04:05:06` */
export function shortTime(milliseconds: number): string {
  return isoTime(milliseconds).slice(0, 19).replace('T', ' ');
}
