/** How much is tried of what has no end: random inputs, random kills. TEST_EFFORT=10 tries ten times as much. */
const FACTOR = Number(process.env['TEST_EFFORT'] ?? 1);

export function effort(usual: number): number {
  return Math.ceil(usual * FACTOR);
}
