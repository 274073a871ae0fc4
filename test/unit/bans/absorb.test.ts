// A ban of a network takes the place of those that it covers, as they are by then, and of no others.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { absorb } from '../../../src/bans/absorb.ts';
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
  ['a ban of an alert that ends sooner goes', 'wazuh', 600, [0, 0]],
  ['one that ends as late goes', 'policy', 3600, [0, 0]],
  ['one that another alert made to end later stays', 'policy', 7200, [1, 1]],
  ['one without an end stays', 'wazuh', null, [1, 1]],
  ['one that a person made stays', 'manual', 600, [1, 1]],
] as const)('%s', (_, origin, timeoutSeconds, rules) => {
  block(A, holdRequest({ origin, timeoutSeconds }), host.newRun());
  absorb([A], NETWORK, host.newRun());
  expect(host.rulesFor(A.text)).toEqual(rules);
  expect(host.rulesFor(NETWORK.text)).toEqual([1, 1]);
});
