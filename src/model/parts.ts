// Splits long lists.

/** Returns consecutive parts of at most `size` items, or none if the list is empty. */
export function partsOf<T>(items: readonly T[], size: number): (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  for (let from = 0; from < items.length; from += size) parts.push(items.slice(from, from + size));
  return parts;
}
