// Aligns compiled code in the executable. V8 copies code that does not begin at a multiple of 8 bytes at each start.

/** The alignment of V8's cached data, in bytes. Each cache is padded with as many bytes. */
export const ALIGNMENT = 8;

/**
 * Moves each cache within its padding in the finished executable. The last byte of the padding stores the shift, which
 * scripts/lib/loader.cjs reads. The offset in the file decides, because segments are mapped in whole pages.
 */
export function alignCaches(executable, caches) {
  for (const cache of caches) {
    const at = executable.indexOf(cache);
    if (at < 0 || executable.indexOf(cache, at + 1) >= 0) {
      throw new Error('a code cache is not in the executable exactly once');
    }
    const shift = (ALIGNMENT - (at % ALIGNMENT)) % ALIGNMENT;
    executable.copyWithin(at + shift, at, at + cache.length - ALIGNMENT);
    executable[at + cache.length - 1] = shift;
  }
}
