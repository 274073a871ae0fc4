// Compares the verdict with a naive evaluation of the same rules, packet by packet.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { contains, makeAddress, withPrefix, type Address } from '../../../src/model/address.ts';
import { createIptables } from '../../../src/firewall/iptables/plan.ts';
import { findVerdict, type Verdict } from '../../../src/firewall/verdict.ts';
import { addressOf } from '../support/workshop.ts';
import { effort } from '../../support/effort.ts';

const backend = createIptables({
  variant: 'auto',
  chains: ['INPUT', 'FORWARD'],
  optionalChains: [],
  lockWaitSeconds: 1,
});

interface PlainRule {
  readonly source: Address | null;
  readonly not: boolean;
  readonly target: string;
}

type Chains = Readonly<Record<string, readonly PlainRule[]>>;

function verdict(address: Address, lines: readonly string[], policy = 'ACCEPT'): Verdict {
  const snapshot = [`:INPUT ${policy} [0:0]`, ...lines.map((line) => `[0:0] ${line}`)].join('\n');
  return findVerdict(address, backend.readSnapshot([snapshot]));
}

function print(chains: Chains): string[] {
  return Object.entries(chains).flatMap(([chain, rules]) =>
    rules.map(({ source, not, target }) => {
      const match = source === null ? '' : `${not ? '! ' : ''}-s ${withPrefix(source)} `;
      return `-A ${chain} ${match}-j ${target}`;
    }),
  );
}

/** Evaluates a chain for one packet, as the kernel does. Returns null if the chain ends without a decision. */
function evaluate(packet: Address, chain: string, chains: Chains): string | null {
  for (const { source, not, target } of chains[chain] ?? []) {
    if (source !== null && contains(source, packet) === not) continue;
    if (target === 'RETURN') return null;
    if (['ACCEPT', 'DROP', 'REJECT'].includes(target)) return target;
    const inner = evaluate(packet, target, chains);
    if (inner !== null) return inner;
  }
  return null;
}

/** Only the last byte varies, within 192.0.2.0/24. */
const network = fc
  .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 }))
  .map(([last, length]) => makeAddress(4, 0xc0000200n + BigInt(last), length));
const rulesTo = (...targets: readonly string[]): fc.Arbitrary<PlainRule[]> => {
  const rule = fc.record({
    source: fc.option(network, { freq: 4 }),
    not: fc.boolean(),
    target: fc.constantFrom(...targets),
  });
  // iptables can't negate a missing source.
  return fc.array(
    rule.map((one) => ({ ...one, not: one.not && one.source !== null })),
    { maxLength: 8 },
  );
};
const chainsArbitrary = fc.record({
  INPUT: rulesTo('DROP', 'REJECT', 'ACCEPT', 'LOG', 'first', 'second'),
  first: rulesTo('DROP', 'ACCEPT', 'RETURN', 'LOG', 'second'),
  second: rulesTo('DROP', 'ACCEPT', 'RETURN'),
});
const policyArbitrary = fc.constantFrom('ACCEPT', 'DROP');

test('the verdict on an address matches the fate of its packets', () => {
  const one = fc
    .integer({ min: 0, max: 255 })
    .map((last) => makeAddress(4, 0xc0000200n + BigInt(last)));
  fc.assert(
    fc.property(one, chainsArbitrary, policyArbitrary, (address, chains, policy) => {
      const decision = evaluate(address, 'INPUT', chains) ?? policy;
      const kind = decision === 'ACCEPT' ? 'accepted' : 'dropped';
      expect(verdict(address, print(chains), policy)).toMatchObject({ kind, partly: [] });
    }),
    { numRuns: effort(100) },
  );
});

test('the verdict on a network is dropped only if all of its packets are dropped', () => {
  const rules = rulesTo('DROP').map((INPUT) => ({ INPUT }));
  fc.assert(
    fc.property(network, rules, (block, chains) => {
      if (verdict(block, print(chains)).kind === 'accepted') return;
      const count = 2 ** (32 - block.prefixLength);
      for (let index = 0; index < count; index += 1) {
        const packet = makeAddress(4, block.value + BigInt(index));
        expect(evaluate(packet, 'INPUT', chains)).toBe('DROP');
      }
    }),
  );
});

describe('other parts of a rule', () => {
  const A = addressOf('203.0.113.9');
  test.each<[string, string[], 'dropped' | 'accepted']>([
    [
      'a comment is not a condition',
      ['-A INPUT -s 203.0.113.9/32 -m comment --comment x -j DROP'],
      'dropped',
    ],
    [
      'a comment is not a target',
      [
        '-A INPUT -s 203.0.113.9/32 -m comment --comment "go -j DROP \\" -j DROP" -j ACCEPT',
        '-A INPUT -j DROP',
      ],
      'accepted',
    ],
    ['an interface is a condition', ['-A INPUT -i eth0 -j DROP'], 'accepted'],
    [
      'a destination is a condition',
      ['-A INPUT -s 203.0.113.9/32 -d 192.0.2.1/32 -j DROP'],
      'accepted',
    ],
    ['a state is a condition', ['-A INPUT -m conntrack --ctstate NEW -j DROP'], 'accepted'],
    ['a set is a condition', ['-A INPUT -m set --match-set bad src -j DROP'], 'accepted'],
    [
      'a rule without a target decides nothing',
      ['-A INPUT -s 203.0.113.9/32', '-A INPUT -j DROP'],
      'dropped',
    ],
    [
      'after a chain entered by goto, the policy decides',
      ['-A INPUT -g inner', '-A INPUT -j DROP', '-A inner -p tcp -j LOG'],
      'accepted',
    ],
    [
      'a chain entered by goto decides',
      ['-A INPUT -g inner', '-A INPUT -j ACCEPT', '-A inner -j DROP'],
      'dropped',
    ],
  ])('%s', (_, lines, kind) => {
    expect(verdict(A, lines).kind).toBe(kind);
  });

  test('a drop in a chain that only some packets reach drops some of them', () => {
    const { kind, partly } = verdict(A, [
      '-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd',
      '-A f2b-sshd -s 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable',
      '-A f2b-sshd -j RETURN',
    ]);
    expect(kind).toBe('accepted');
    expect(partly.map(({ chain }) => chain)).toEqual(['f2b-sshd']);
  });

  test('a chain that only some packets reach does not keep the others from a drop', () => {
    const lines = ['-A INPUT -p tcp -j inner', '-A INPUT -j DROP', '-A inner -j ACCEPT'];
    expect(verdict(A, lines).kind).toBe('dropped');
  });
});
