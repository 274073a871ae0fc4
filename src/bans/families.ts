// Splits work by family, because IPv4 and IPv6 have separate firewall programs and one can fail without the other.
import type { Address, Family } from '../model/address.ts';
import type { Store } from '../state/store.ts';

/** Runs all functions. If some of them throw, throws the first error afterwards. */
export function runAll(works: readonly (() => void)[]): void {
  const errors: unknown[] = [];
  for (const work of works) {
    try {
      work();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}

/** Calls `work` with the items of each family. Throws as `runAll` does. */
export function forEachFamily<T extends { readonly address: Address }>(
  items: readonly T[],
  work: (items: readonly T[]) => void,
): void {
  const families = Map.groupBy(items, (item) => item.address.family);
  runAll(
    Array.from(families.values(), (own) => () => {
      work(own);
    }),
  );
}

/** Returns IPv4, and IPv6 if the state has IPv6 bans, because a host may lack IPv6 tables. */
export function familiesInUse(store: Store): Family[] {
  return store.bans.hasIpv6() ? [4, 6] : [4];
}
