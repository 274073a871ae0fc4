// Bounds the memory of work on long lists.
import type * as V8 from 'node:v8';

/** A shorter list has no use for it. */
const MANY = 1000;

/** To be called with how many addresses are about to be worked on. */
export function expectMany(count: number): void {
  if (count < MANY) return;
  const { setFlagsFromString } = require('node:v8') as typeof V8;
  // What is made for a list lives as long as the list: V8 would have its room for new objects grow to 128 MB.
  setFlagsFromString('--semi-space-growth-factor=1');
  // And it would let what is left of each part stay for long.
  setFlagsFromString('--heap-growing-percent=50');
}
