// Checks that the executable and `explain` accept the output of `test-alert`.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createVictim, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

function printed(...options: readonly string[]): string {
  const { status, stdout, stderr } = victim.person(['test-alert', ...options]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

test.each(['wazuh4', 'wazuh5'])(
  'a message of %s with its answer blocks and unblocks',
  (dialect) => {
    const added = victim.respond(printed('--dialect', dialect, '--answer', 'continue'));
    expect(added.status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
    expect(added.lines.join()).toContain(` add - ${A} `);
    const deleted = victim.respond(printed('--dialect', dialect, '--action', 'delete'));
    expect(deleted.status).toBe(0);
    expect(victim.rules(A)).toEqual([]);
  },
);

test('test-alert prints the arguments of OSSEC', () => {
  const words = printed('--dialect', 'ossec', '--srcip', '2001:db8::7').trim().split(' ');
  expect(victim.ossecRaw(words).status).toBe(0);
  expect(victim.rules('2001:db8::7')).toHaveLength(2);
});

test('explain reads the output of test-alert', () => {
  const message = printed('--srcip', 'not-an-address', '--rule', '31151');
  const { status, stdout } = victim.host.run([victim.agent.program(), 'explain'], {
    input: message,
  });
  expect(status).toBe(65);
  expect(stdout).toMatch(/none: no literal address in data\.srcip[^]*rule +31151/);
});

test.each([
  [['--srcip', 'a b'], '--srcip "a b" is not one word'],
  [['--timeout', 'soon'], '--timeout "soon" is not a duration'],
  [
    ['--dialect', 'ossec', '--answer', 'continue'],
    '--answer: ossec-execd has no key exchange to answer',
  ],
])('test-alert refuses %j', (options, complaint) => {
  const { status, stdout, stderr } = victim.person(['test-alert', ...options]);
  expect({ status, stdout }).toEqual({ status: 64, stdout: '' });
  expect(stderr).toContain(complaint);
});
