// Killed at each step of every path; see sweep.ts.
import { describe } from '@jest/globals';
import { sweep } from './sweep.ts';

describe('killed at each step, with nftables', () => {
  // `auto` moves plain rules only.
  sweep('nftables', ['migrate: attempted']);
});
