// Changes many rows with one statement: passes lists of addresses as one value, and groups rows that differ only in
// their address.
import type { Address } from '../model/address.ts';

/** Returns a list of addresses as the argument of `json_each`, which replaces one statement per address. */
export function asList(addresses: readonly Address[]): string {
  return JSON.stringify(addresses.map(({ text }) => text));
}

/** The SQL condition for addresses in a list from `asList`. */
export const ADDRESS_IN_LIST = 'address IN (SELECT value FROM json_each(?))';

/**
 * Groups consecutive items for which `fieldsOf` returns equal fields, in order. A list that a person gave is one group;
 * each alert is a group of its own.
 */
export function runsOf<T>(
  items: readonly T[],
  fieldsOf: (item: T) => readonly unknown[],
): (readonly [T, ...T[]])[] {
  const runs: [T, ...T[]][] = [];
  let last: readonly unknown[] = [];
  for (const item of items) {
    const fields = fieldsOf(item);
    const run = runs.at(-1);
    if (run !== undefined && fields.every((field, at) => isSame(field, last[at]))) run.push(item);
    else runs.push([item]);
    last = fields;
  }
  return runs;
}

/** Compares by identity first, because the items of a list mostly share their objects. */
function isSame(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}
