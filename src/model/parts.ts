// Splits work: long lists into parts, and lists by family, because IPv4 and IPv6 have separate firewall programs and
// one can fail without the other.
import type { Address } from './address.ts';

/** Returns consecutive parts of at most `size` items, or none if the list is empty. */
export function partsOf<T>(items: readonly T[], size: number): (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  for (let from = 0; from < items.length; from += size) parts.push(items.slice(from, from + size));
  return parts;
}

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
