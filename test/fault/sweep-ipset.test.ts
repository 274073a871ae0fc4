// Killed at some of the steps of every path; see sweep.ts.
import { describe } from '@jest/globals';
import { effort } from '../support/effort.ts';
import { sweep } from './sweep.ts';

/** One in three, others in each run of the tests; all of them with more effort. */
const STRIDE = Math.ceil(3 / effort(1));

describe('killed at one step in three, with ipset', () => {
  // The order of state, kernel and log is the same with every backend: swept whole with plain rules.
  sweep('ipset', STRIDE);
});
