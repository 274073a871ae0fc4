// Many rows by one statement: lists of addresses as a value, and which rows differ in their address alone.
import type { Address } from '../model/address.ts';
import type { AlertRef, Hold } from '../model/ban.ts';

/** The value for `json_each`, in place of a statement for each address. */
export function asList(addresses: readonly Address[]): string {
  return JSON.stringify(addresses.map(({ text }) => text));
}

/** With `asList`. */
export const AMONG_THESE = 'address IN (SELECT value FROM json_each(?))';

/** Neighbours that are alike, in order: a list that a person gave is one run, and of alerts each is one. */
export function runsOf<T>(
  items: readonly T[],
  areAlike: (one: T, other: T) => boolean,
): (readonly [T, ...T[]])[] {
  const runs: [T, ...T[]][] = [];
  for (const item of items) {
    const run = runs.at(-1);
    if (run !== undefined && areAlike(run[0], item)) run.push(item);
    else runs.push([item]);
  }
  return runs;
}

export function isSameAlert(one: AlertRef | undefined, other: AlertRef | undefined): boolean {
  return one === other || (one?.alertId === other?.alertId && one?.ruleId === other?.ruleId);
}

export function isSameHold(one: Hold | null, other: Hold | null): boolean {
  if (one === other) return true;
  return (
    one?.origin === other?.origin &&
    one?.addedMs === other?.addedMs &&
    one?.timeoutSeconds === other?.timeoutSeconds &&
    one?.expiresAtMs === other?.expiresAtMs &&
    one?.reason === other?.reason &&
    one?.forced === other?.forced &&
    isSameAlert(one?.alertRef, other?.alertRef)
  );
}
