// Many rows by one statement: lists of addresses as a value, and which rows differ in their address alone.
import type { Address } from '../model/address.ts';

/** The value for `json_each`, in place of a statement for each address. */
export function asList(addresses: readonly Address[]): string {
  return JSON.stringify(addresses.map(({ text }) => text));
}

/** With `asList`. */
export const AMONG_THESE = 'address IN (SELECT value FROM json_each(?))';

/**
 * Neighbours that are alike, in order: a list that a person gave is one run, and of alerts each is one. `partsOf` gives what
 * those of a run have in common.
 */
export function runsOf<T>(
  items: readonly T[],
  partsOf: (item: T) => readonly unknown[],
): (readonly [T, ...T[]])[] {
  const runs: [T, ...T[]][] = [];
  let last: readonly unknown[] = [];
  for (const item of items) {
    const parts = partsOf(item);
    const run = runs.at(-1);
    if (run !== undefined && parts.every((part, at) => isSame(part, last[at]))) run.push(item);
    else runs.push([item]);
    last = parts;
  }
  return runs;
}

/** Those of a list are mostly one object. */
function isSame(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}
