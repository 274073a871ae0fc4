// The commands for conntrack and the meaning of its answers. No program is run.
import { describe, expect, test } from '@jest/globals';
import { cutConnections, planCut } from '../../../src/firewall/conntrack.ts';
import type { Command, RunResult } from '../../../src/system/exec.ts';
import { addressOf, codeOf } from '../support/workshop.ts';

const NO_FLOWS = 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.\n';
const ENDED =
  "conntrack v1.4.7 (conntrack-tools): Operation failed: such conntrack doesn't exist\n";
const answer = (parts: Partial<RunResult> = {}): RunResult => {
  return { status: 0, stdout: '', stderr: '', trouble: '', ...parts };
};

/**
 * Removes connections. conntrack gives `answers` in order, and repeats the last one. Returns the commands that were
 * run.
 */
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

/** Returns a flow as `conntrack -L` prints it: the original direction and that of the replies. */
const flow = (from: string, to: string, [source, destination] = [to, from]): string =>
  `tcp      6 431999 ESTABLISHED src=${from} dst=${to} sport=40000 dport=22 ` +
  `src=${source} dst=${destination} sport=22 dport=40000 [ASSURED] mark=0 use=1\n`;

const MANY = Array.from({ length: 9 }, (_, n) => `203.0.113.${n}`);

test.each([
  ['203.0.113.7', 'ipv4'],
  ['2001:db8::7', 'ipv6'],
])('the flows that %s opened and those that it accepted are deleted', (text, family) => {
  expect(cut([text])).toEqual([
    `conntrack -D -f ${family} -s ${text}`,
    `conntrack -D -f ${family} -r ${text}`,
  ]);
});

test('many addresses are listed once, and only the flows that exist are deleted', () => {
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

test('an address behind address translation is found as the source of the replies', () => {
  const stdout = flow('192.0.2.1', '192.0.2.200', ['203.0.113.4', '192.0.2.1']);
  expect(cut(MANY, { stdout })).toContain('conntrack -D -f ipv4 -r 203.0.113.4');
});

test('the flows of a network are deleted by their single addresses, because conntrack refuses networks for the reply direction', () => {
  const stdout = flow('2001:db8:5::1', '2001:db8::1') + flow('2001:db8:6::1', '2001:db8::1');
  expect(cut(['2001:db8:5::/48'], { stdout })).toEqual([
    'conntrack -L -f ipv6',
    'conntrack -D -f ipv6 -s 2001:db8:5::1',
  ]);
});

test('an address without flows is a success, although conntrack exits with status 1', () => {
  expect(codeOf(() => cut(['203.0.113.7'], { status: 1, stderr: NO_FLOWS }))).toBe(
    'nothing was thrown',
  );
});

describe('a failure', () => {
  test('because a flow has just ended does not keep the other flows from being deleted', () => {
    expect(cut(['203.0.113.7'], { status: 1, stderr: ENDED }, {})).toEqual([
      'conntrack -D -f ipv4 -s 203.0.113.7',
      'conntrack -D -f ipv4 -s 203.0.113.7',
      'conntrack -D -f ipv4 -r 203.0.113.7',
    ]);
  });

  test.each<[string, Partial<RunResult>]>([
    ['a missing permission', { status: 1, stderr: 'Operation failed: sorry, you must be root' }],
    ['a crash', { status: null, trouble: 'was killed by SIGSEGV' }],
    ['flows that keep ending', { status: 1, stderr: ENDED }],
  ])('through %s is reported', (_, result) => {
    expect(codeOf(() => cut(['203.0.113.7'], result))).toBe('FIREWALL');
  });
});

test('the planned commands are those that are run first', () => {
  const shown = (texts: readonly string[]): string[] =>
    planCut(texts.map(addressOf)).map(({ program, args }) => [program, ...args].join(' '));
  expect(shown(['203.0.113.7'])).toEqual(cut(['203.0.113.7']));
  expect(shown(MANY)).toEqual(cut(MANY));
});
