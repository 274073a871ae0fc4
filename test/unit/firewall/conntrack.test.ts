// What is told to conntrack, and what its answers mean. Nothing is run.
import { describe, expect, test } from '@jest/globals';
import { cutConnections, planCut } from '../../../src/firewall/conntrack.ts';
import type { Command, RunResult } from '../../../src/system/exec.ts';
import { addressOf, codeOf } from '../support/workshop.ts';

const NONE = 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.\n';
const ENDED =
  "conntrack v1.4.7 (conntrack-tools): Operation failed: such conntrack doesn't exist\n";
const answer = (parts: Partial<RunResult> = {}): RunResult => {
  return { status: 0, stdout: '', stderr: '', trouble: '', ...parts };
};

/** Cuts, with answers in turn and the last one for the rest; returns what was run. */
function cut(texts: readonly string[], ...answers: readonly Partial<RunResult>[]): string[] {
  const run: string[] = [];
  cutConnections(texts.map(addressOf), {
    run: ({ program, args }: Command) => {
      run.push([program, ...args].join(' '));
      return answer(answers[run.length - 1] ?? answers.at(-1));
    },
    deadline: { remainingMs: () => 20_000 },
    programTimeoutSeconds: 15,
  });
  return run;
}

/** As `conntrack -L` prints it: who called whom, and what the replies look like. */
const flow = (from: string, to: string, [source, destination] = [to, from]): string =>
  `tcp      6 431999 ESTABLISHED src=${from} dst=${to} sport=40000 dport=22 ` +
  `src=${source} dst=${destination} sport=22 dport=40000 [ASSURED] mark=0 use=1\n`;

const MANY = Array.from({ length: 9 }, (_, n) => `203.0.113.${n}`);

test.each([
  ['203.0.113.7', 'ipv4'],
  ['2001:db8::7', 'ipv6'],
])('%s: the flows that it began, and those in which it answers', (text, family) => {
  expect(cut([text])).toEqual([
    `conntrack -D -f ${family} -s ${text}`,
    `conntrack -D -f ${family} -r ${text}`,
  ]);
});

test('many addresses take one listing, and then only those with flows are deleted', () => {
  const stdout = [
    flow('203.0.113.3', '192.0.2.1'),
    flow('203.0.113.3', '192.0.2.2'),
    flow('192.0.2.1', '203.0.113.4'),
    flow('198.51.100.5', '192.0.2.1'),
    'udp      17 29 src=203.0.113.5 dst=192.0.2.1 sport=1 dport=53 [UNREPLIED] src=192.0.2.1 dst=203.0.113.5 sport=53 dport=1 mark=0 use=1\n',
  ].join('');
  expect(cut(MANY, { stdout })).toEqual([
    'conntrack -L -f ipv4',
    'conntrack -D -f ipv4 -s 203.0.113.3',
    'conntrack -D -f ipv4 -s 203.0.113.5',
    'conntrack -D -f ipv4 -r 203.0.113.4',
  ]);
});

test('an address behind a translation is found by the real one that answers', () => {
  const stdout = flow('192.0.2.1', '192.0.2.200', ['203.0.113.4', '192.0.2.1']);
  expect(cut(MANY, { stdout })).toContain('conntrack -D -f ipv4 -r 203.0.113.4');
});

test('the flows of a network are found by its members, because conntrack refuses networks for answers', () => {
  const stdout = flow('2001:db8:5::1', '2001:db8::1') + flow('2001:db8:6::1', '2001:db8::1');
  expect(cut(['2001:db8:5::/48'], { stdout })).toEqual([
    'conntrack -L -f ipv6',
    'conntrack -D -f ipv6 -s 2001:db8:5::1',
  ]);
});

test('no flows are a success, though conntrack exits with 1', () => {
  expect(codeOf(() => cut(['203.0.113.7'], { status: 1, stderr: NONE }))).toBe(
    'nothing was thrown',
  );
});

describe('trouble', () => {
  test('a flow that ended while it was found does not keep the others from being deleted', () => {
    expect(cut(['203.0.113.7'], { status: 1, stderr: ENDED }, {})).toEqual([
      'conntrack -D -f ipv4 -s 203.0.113.7',
      'conntrack -D -f ipv4 -s 203.0.113.7',
      'conntrack -D -f ipv4 -r 203.0.113.7',
    ]);
  });

  test.each<[string, Partial<RunResult>]>([
    ['no right to', { status: 1, stderr: 'Operation failed: sorry, you must be root' }],
    ['a crash', { status: null, trouble: 'was killed by SIGSEGV' }],
    ['flows that end for ever', { status: 1, stderr: ENDED }],
  ])('%s is said', (_, result) => {
    expect(codeOf(() => cut(['203.0.113.7'], result))).toBe('FIREWALL');
  });
});

test('what is shown beforehand is what is run', () => {
  const shown = (texts: readonly string[]): string[] =>
    planCut(texts.map(addressOf)).map(({ program, args }) => [program, ...args].join(' '));
  expect(shown(['203.0.113.7'])).toEqual(cut(['203.0.113.7']));
  expect(shown(MANY)).toEqual(cut(MANY));
});
