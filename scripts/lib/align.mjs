// Puts compiled code where V8 takes it as it lies: what does not begin at a multiple of 8 bytes is copied at each start.

/** Of V8's cached data; a cache has so many bytes of room behind it. */
export const ALIGNMENT = 8;

/**
 * Moves each cache within its room in the finished executable. The last byte of the room says by how much
 * (scripts/lib/loader.cjs). The offset in the file counts, since segments are mapped by whole pages.
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
