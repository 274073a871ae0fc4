/** Counts for the table at the end of `npm run test:fault` how often a test provoked its fault. */
import { appendFileSync } from 'node:fs';
import { expect } from '@jest/globals';

export function countProvoked(times = 1): void {
  const file = process.env['FAULT_COUNTS'];
  const { currentTestName: test } = expect.getState();
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ test, times })}\n`);
}
