// IPv4 and IPv6 have firewall programs of their own, and trouble with one must not hold up the other.
import type { Address } from './address.ts';

/** Does `work` for the items of each family in turn; the first error is thrown once both have had theirs. */
export function forEachFamily<T extends { readonly address: Address }>(
  items: readonly T[],
  work: (items: readonly T[]) => void,
): void {
  const errors: unknown[] = [];
  for (const own of Map.groupBy(items, (item) => item.address.family).values()) {
    try {
      work(own);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
