/** Scales the number of random inputs and random kills. TEST_EFFORT=10 tries ten times as many. */
const FACTOR = Number(process.env['TEST_EFFORT'] ?? 1);

export function effort(usual: number): number {
  return Math.ceil(usual * FACTOR);
}
