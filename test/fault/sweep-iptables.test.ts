// Kills every path at each of its steps; see sweep.ts.
import { describe } from '@jest/globals';
import { sweep } from './sweep.ts';

describe('kills at each step, with iptables', () => {
  sweep('iptables');
});
