// A ban of a network replaces the bans of alerts within it that do not last longer.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { absorb } from '../../../src/bans/unblock.ts';
import { block } from '../../../src/bans/block.ts';
import { addressOf, holdRequest, Workshop } from '../support/workshop.ts';

const NETWORK = addressOf('203.0.113.0/24');
const A = addressOf('203.0.113.9');

let host: Workshop;
beforeEach(() => {
  host = new Workshop();
  block(NETWORK, holdRequest({ origin: 'policy', timeoutSeconds: 3600 }), host.newRun());
});
afterEach(() => {
  host.close();
});

test.each([
  ['a ban of an alert that ends sooner is replaced', 'wazuh', 600, [0, 0]],
  ['a ban of an alert that ends at the same time is replaced', 'policy', 3600, [0, 0]],
  ['a ban of an alert that ends later stays', 'policy', 7200, [1, 1]],
  ['a ban without a deadline stays', 'wazuh', null, [1, 1]],
  ['a ban of a person stays', 'manual', 600, [1, 1]],
] as const)('%s', (_, origin, timeoutSeconds, rules) => {
  block(A, holdRequest({ origin, timeoutSeconds }), host.newRun());
  absorb([A], NETWORK, host.newRun());
  expect(host.rulesFor(A.text)).toEqual(rules);
  expect(host.rulesFor(NETWORK.text)).toEqual([1, 1]);
});
