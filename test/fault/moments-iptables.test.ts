// Kills random commands at random moments; see moments.ts.
import { describe } from '@jest/globals';
import { effort } from '../support/effort.ts';
import { killAtRandom } from './moments.ts';

describe('kills at random moments, with iptables', () => {
  killAtRandom('iptables', effort(15));
});
