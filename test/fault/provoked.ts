/** Counts for the table at the end of `npm run test:fault` how often a test provoked its fault. */
import { appendFileSync } from 'node:fs';
import { expect } from '@jest/globals';

/** `title`: as `rows.ts` names the test, where it has a part of the title only with its parameters in it. */
export function countProvoked(times = 1, title?: string): void {
  const file = process.env['FAULT_COUNTS'];
  const { currentTestName } = expect.getState();
  const test = title ?? currentTestName;
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ test, times })}\n`);
}
