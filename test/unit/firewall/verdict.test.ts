// The verdict on an address: the first rule of INPUT that matches all of its packets decides.
import { describe, expect, test } from '@jest/globals';
import { createIptables } from '../../../src/firewall/iptables/plan.ts';
import { findVerdict, type Verdict } from '../../../src/firewall/verdict.ts';
import { addressOf } from '../support/workshop.ts';

const backend = createIptables({
  variant: 'auto',
  chains: ['INPUT', 'FORWARD'],
  optionalChains: [],
  lockWaitSeconds: 1,
});

/** Returns the verdict on 203.0.113.9 for these rules. A rule without `-A` is in INPUT. */
function verdict(rules: readonly string[], policy = 'ACCEPT'): Verdict {
  const lines = rules.map((rule) => `[0:0] ${rule.startsWith('-A ') ? rule : `-A INPUT ${rule}`}`);
  const snapshot = backend.readSnapshot([[`:INPUT ${policy} [0:0]`, ...lines].join('\n')]);
  return findVerdict(addressOf('203.0.113.9'), snapshot);
}

describe('a packet is', () => {
  test.each<[string, readonly string[], 'dropped' | 'accepted']>([
    ['accepted where nothing says otherwise', [], 'accepted'],
    ['dropped by its rule', ['-s 203.0.113.9/32 -j DROP'], 'dropped'],
    ['dropped by a rule for its network', ['-s 203.0.113.0/24 -j DROP'], 'dropped'],
    ['dropped by a rule for everybody', ['-j DROP'], 'dropped'],
    [
      'dropped if it is rejected',
      ['-s 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable'],
      'dropped',
    ],
    [
      'accepted if a rule before the drop accepts it',
      ['-s 203.0.113.0/24 -j ACCEPT', '-s 203.0.113.9/32 -j DROP'],
      'accepted',
    ],
    ['accepted past a rule for somebody else', ['-s 203.0.113.10/32 -j DROP'], 'accepted'],
    ['dropped by a rule for all but others', ['! -s 203.0.113.10/32 -j DROP'], 'dropped'],
    ['accepted past a rule for all but itself', ['! -s 203.0.113.9/32 -j DROP'], 'accepted'],
    [
      'accepted despite an earlier drop for one port',
      ['-s 203.0.113.9/32 -p tcp -m tcp --dport 22 -j DROP'],
      'accepted',
    ],
    [
      'dropped although one port is accepted',
      ['-p tcp -m tcp --dport 22 -j ACCEPT', '-s 203.0.113.9/32 -j DROP'],
      'dropped',
    ],
    [
      'dropped by a rule with a comment',
      ['-s 203.0.113.9/32 -m comment --comment "a -j ACCEPT" -j DROP'],
      'dropped',
    ],
    [
      'dropped in a chain that a rule jumps to',
      ['-j inner', '-A inner -s 203.0.113.9/32 -j DROP'],
      'dropped',
    ],
    [
      'accepted after a chain that returns it',
      ['-j inner', '-A inner -j RETURN', '-A inner -j DROP'],
      'accepted',
    ],
    [
      'dropped after a chain that decides nothing',
      ['-j inner', '-s 203.0.113.9/32 -j DROP', '-A inner -p tcp -j ACCEPT'],
      'dropped',
    ],
    ['accepted past a rule that only logs', ['-s 203.0.113.9/32 -j LOG'], 'accepted'],
    ['accepted where other chains drop it', ['-A FORWARD -s 203.0.113.9/32 -j DROP'], 'accepted'],
  ])('%s', (_, rules, kind) => {
    expect(verdict(rules).kind).toBe(kind);
  });

  test('dropped by the policy if no rule decides', () => {
    expect(verdict([], 'DROP')).toMatchObject({ kind: 'dropped', rule: null });
  });
});

test('the verdict names the deciding rule', () => {
  const { rule } = verdict(['-j inner', '-A inner -s 203.0.113.9/32 -j DROP']);
  expect(rule).toMatchObject({ chain: 'inner', spec: '-s 203.0.113.9/32 -j DROP' });
});

test('the verdict names rules that drop some of the packets', () => {
  const { kind, partly } = verdict(['-s 203.0.113.9/32 -p tcp -m tcp --dport 22 -j DROP']);
  expect(kind).toBe('accepted');
  expect(partly).toHaveLength(1);
});

test('a listing with a loop of chains is evaluated without a crash', () => {
  expect(verdict(['-j a', '-A a -j b', '-A b -j a']).kind).toBe('accepted');
});
