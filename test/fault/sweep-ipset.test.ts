// Kills every path at some of its steps; see sweep.ts.
import { describe } from '@jest/globals';
import { effort } from '../support/effort.ts';
import { sweep } from './sweep.ts';

/** One in three steps, at a random offset. All of them with more effort. */
const STRIDE = Math.ceil(3 / effort(1));

describe('kills at one step in three, with ipset', () => {
  // The order of state, kernel and log is the same with every backend. Plain rules are swept completely.
  sweep('ipset', STRIDE);
});
