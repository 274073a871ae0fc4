// For any combination of arguments, entries, escalation, aggregation and time, no protected address is blocked, no ban
// of an alert lasts longer than timeout_max, and every ban ends at its deadline.
import fc from 'fast-check';
import { expect, test } from '@jest/globals';
import { overlaps } from '../../../src/model/address.ts';
import { effort } from '../../support/effort.ts';
import { PROTECTED, Responder } from '../support/responder.ts';
import { addressOf } from '../support/workshop.ts';

const DURATIONS = ['1m', '10m', '2h', '7d'] as const;
const SECONDS: Readonly<Record<string, number>> = {
  '1m': 60,
  '10m': 600,
  '2h': 7200,
  '7d': 604_800,
};
const ADDRESSES = [
  ...['203.0.113.1', '203.0.113.2', '203.0.113.3', '203.0.113.200'],
  ...['198.51.100.9', '198.51.100.1', '2001:db8:0:1::9', '2001:db8:0:2::9', '2001:db8:0:2::a'],
];

const duration = fc.constantFrom(...DURATIONS);
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => {
  return fc.option(arbitrary, { nil: null });
};
const entry = fc.record({
  ruleId: maybe(fc.constantFrom('1', '2')),
  timeout: maybe(fc.constantFrom(...DURATIONS, 'never')),
  timeoutMax: maybe(duration),
});
const configuration = fc.record({
  escalation: fc.array(duration, { maxLength: 3 }),
  ipv6Prefix: fc.constantFrom(64, 128),
  ipv4Count: fc.constantFrom(0, 2, 3),
  keepOnAgentStop: fc.boolean(),
  entries: fc.array(entry, { maxLength: 2 }),
  group: maybe(duration),
});
const deed = fc.oneof(
  fc.record({
    what: fc.constant('alert' as const),
    address: fc.constantFrom(...ADDRESSES),
    ruleId: fc.constantFrom('1', '2', '3'),
    words: fc.subarray(['keep', 'timeout=2h', 'timeout=7d']),
    answer: fc.constantFrom('continue' as const, 'abort' as const),
  }),
  fc.record({ what: fc.constant('delete' as const), address: fc.constantFrom(...ADDRESSES) }),
  fc.record({ what: fc.constant('release' as const), address: fc.constantFrom(...ADDRESSES) }),
  fc.record({ what: fc.constant('wait' as const), seconds: fc.constantFrom(30, 601, 8000) }),
);
type Configuration = typeof configuration extends fc.Arbitrary<infer T> ? T : never;
type Deed = typeof deed extends fc.Arbitrary<infer T> ? T : never;

function tomlOf({
  escalation,
  ipv6Prefix,
  ipv4Count,
  keepOnAgentStop,
  entries,
}: Configuration): string {
  const policy = entries.map(({ ruleId, timeout, timeoutMax }) => {
    return [
      '[[policy]]',
      ...(ruleId === null ? [] : [`rule_id = [${ruleId}]`]),
      ...(timeout === null ? [] : [`timeout = "${timeout}"`]),
      ...(timeoutMax === null ? [] : [`timeout_max = "${timeoutMax}"`]),
    ].join('\n');
  });
  return [
    `[escalation]\ntimeouts = ${JSON.stringify(escalation)}`,
    `[aggregate]\nipv6_prefix = ${ipv6Prefix}\nipv4_count = ${ipv4Count}`,
    `[firewall]\nkeep_on_agent_stop = ${keepOnAgentStop}`,
    ...policy,
  ].join('\n');
}

/** The timeout of execd plus a minute of grace. */
const OWN_SECONDS = 660;

type Entry = Configuration['entries'][number];

function entryFor({ entries }: Configuration, ruleId: string): Entry | undefined {
  return entries.find((one) => one.ruleId === null || one.ruleId === ruleId);
}

/** Returns the longest ban that the entries allow for an alert of this rule; Infinity for no limit. */
function mostSeconds(asked: Configuration, ruleId: string): number {
  const { timeoutMax } = entryFor(asked, ruleId) ?? {};
  return Math.min(...[timeoutMax, asked.group].map((text) => SECONDS[text ?? ''] ?? Infinity));
}

/** Returns the shortest ban according to the manager's arguments, or else an entry, or else execd. */
function leastSeconds(asked: Configuration, ruleId: string, words: readonly string[]): number {
  const word = words.find((one) => one.startsWith('timeout='));
  const text = word?.slice('timeout='.length) ?? entryFor(asked, ruleId)?.timeout;
  const wanted = text === 'never' ? Infinity : (SECONDS[text ?? ''] ?? OWN_SECONDS);
  return Math.min(wanted, mostSeconds(asked, ruleId));
}

/** Returns the remaining seconds of each hold on a ban; Infinity for a hold without a deadline. */
function leftOf(agent: Responder, text: string): number[] {
  return agent.holds(text).map((hold) => {
    const [, left = ''] = hold.split(':');
    return left === 'never' ? Infinity : Number(left);
  });
}

function onAddress(agent: Responder, address: string): string[] {
  return agent.banned().filter((text) => overlaps(addressOf(text), addressOf(address)));
}

function perform(agent: Responder, one: Deed, asked: Configuration): void {
  const before = new Set(agent.banned());
  if (one.what === 'wait') agent.wait(one.seconds);
  else if (one.what === 'delete') agent.alert(one.address, { command: 'delete' });
  else if (one.what === 'release') agent.alert(one.address, { arguments: ['release'] });
  else {
    const { address, ruleId, words, answer } = one;
    const status = agent.alert(address, { ruleId, arguments: words, answer });
    const most = mostSeconds(asked, ruleId);
    for (const text of agent.banned().filter((each) => !before.has(each))) {
      for (const left of leftOf(agent, text)) expect(left).toBeLessThanOrEqual(most);
    }
    const longest = Math.max(
      0,
      ...onAddress(agent, address).flatMap((text) => leftOf(agent, text)),
    );
    const least = status === 0 ? leastSeconds(asked, ruleId, words) : 0;
    expect(longest).toBeGreaterThanOrEqual(least);
  }
  const mayBeEndless = asked.entries.some(({ timeout }) => timeout === 'never');
  const endless = agent.banned().filter((text) => leftOf(agent, text).includes(Infinity));
  expect(mayBeEndless ? [] : endless).toEqual([]);
  for (const text of agent.banned()) {
    const isLocked = PROTECTED.some((each) => overlaps(addressOf(text), addressOf(each)));
    expect([text, isLocked]).toEqual([text, false]);
    expect([text, agent.host.rulesFor(text)]).toEqual([text, [1, 1]]);
  }
}

test('blocks no protected address, no address for longer than timeout_max, and each address until its deadline', () => {
  const deeds = fc.array(deed, { minLength: 3, maxLength: 12, size: 'max' });
  fc.assert(
    fc.property(configuration, deeds, (asked, all) => {
      const agent = new Responder();
      try {
        agent.configure(tomlOf(asked));
        if (asked.group !== null)
          agent.configureGroup(`[[policy]]\ntimeout_max = "${asked.group}"\n`);
        for (const one of all) perform(agent, one, asked);
        // After the last deadline, only bans without a deadline remain.
        agent.wait(800_000);
        const endless = agent
          .banned()
          .filter((text) => !agent.holds(text).some((hold) => hold.endsWith(':never')));
        expect(endless).toEqual([]);
        for (const text of ADDRESSES.filter((each) => !agent.banned().includes(each))) {
          expect([text, agent.host.rulesFor(text)]).toEqual([text, [0, 0]]);
        }
      } finally {
        agent.close();
      }
    }),
    { numRuns: effort(25) },
  );
});
