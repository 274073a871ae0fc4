// Works on parts in turn, so that a failure of one does not stop the others: IPv4 and IPv6 have separate firewall programs.
import type { Address, Family } from '../model/address.ts';
import type { Store } from '../state/store.ts';

/** Does all of `works`; the first error is thrown once each had its turn. */
export function inTurn(works: readonly (() => void)[]): void {
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

/** Does `work` for the items of each family in turn. Throws as `inTurn` does. */
export function forEachFamily<T extends { readonly address: Address }>(
  items: readonly T[],
  work: (items: readonly T[]) => void,
): void {
  const families = Map.groupBy(items, (item) => item.address.family);
  inTurn(
    Array.from(families.values(), (own) => () => {
      work(own);
    }),
  );
}

/** IPv4, and the families that the state has bans of: a host may have no IPv6 tables. */
export function familiesInUse(store: Store): Family[] {
  return store.bans.hasIpv6() ? [4, 6] : [4];
}
