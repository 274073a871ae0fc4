// Many rows by one statement: lists of addresses as a value, and neighbours that differ in their address alone.
import type { Address } from '../model/address.ts';

/** The value for `json_each`, in place of a statement for each address. */
export function asList(addresses: readonly Address[]): string {
  return JSON.stringify(addresses.map(({ text }) => text));
}

/**
 * Neighbours that are alike, in order: a list that a person gave is one run, and of alerts each is one. `kindOf` gives what
 * those of a run have in common, as values that JSON has.
 */
export function runsOf<T>(
  items: readonly T[],
  kindOf: (item: T) => unknown,
): (readonly [T, ...T[]])[] {
  const runs: [T, ...T[]][] = [];
  let last = '';
  for (const item of items) {
    const kind = JSON.stringify(kindOf(item));
    if (kind === last) runs.at(-1)?.push(item);
    else runs.push([item]);
    last = kind;
  }
  return runs;
}
