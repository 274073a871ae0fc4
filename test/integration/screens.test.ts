// Compares complete output on terminals of 60, 80 and 120 columns with snapshots.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runOnTerminal, seen } from '../support/terminal.ts';
import { createVictim, type Victim } from '../support/victim.ts';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
  victim.add('203.0.113.9');
  const reason = 'scans our shop, seen by three web servers within an hour of Monday morning';
  victim.person(['add', '198.51.100.0/24', '-t', '2d', '-r', reason]);
  victim.person(['add', '2001:db8:ffff::9', '-t', 'never']);
  victim.person(['add', '127.0.0.1']);
  victim.person(['delete', '2001:db8:ffff::9', '-r', 'a customer']);
});
afterAll(() => victim.dispose());

/** Replaces times and sizes. They differ between runs, but not in width. */
function timeless(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?/g, (time) => time.replace(/\d/g, '0'))
    .replace(/\b1[7-9]\d{8}\.\d{6}\b/g, 'SSSSSSSSSS.UUUUUU')
    .replace(/2d {4}|2d$|1d 23h/gm, 'LENGTH ')
    .replace(/\d+ bytes/, 'N bytes');
}

describe.each([60, 80, 120])('on a terminal of %d columns', (columns) => {
  test.each([
    [['list']],
    [['list', '--columns', 'address,reason']],
    [['history']],
    [['status']],
    [['status', '203.0.113.9']],
    [['protect', 'list']],
    [['--help']],
    [['add', '-h']],
  ])('%j', async (args) => {
    const program = victim.agent.program();
    const variables = { PAGER: 'cat' };
    const screen = await runOnTerminal(victim.host, [program, ...args], { columns, variables });
    const lines = seen(screen);
    expect(timeless(lines.join('\n'))).toMatchSnapshot();
    const isTable = args[0] === 'list' || args[0] === 'history';
    if (isTable) for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
  });
});

test('--wide cuts nothing, and neither does a pipe', async () => {
  const program = victim.agent.program();
  const screen = await runOnTerminal(victim.host, [program, 'list', '--wide'], { columns: 60 });
  expect(seen(screen).join('\n')).toContain('within an hour of Monday morning');
  expect(victim.person(['list']).stdout).toContain('within an hour of Monday morning');
});

test('output longer than the screen goes through the pager, and shorter output does not', async () => {
  const program = victim.agent.program();
  const whole = victim.person(['config', 'show']).stdout.trimEnd().split('\n');
  const options = { columns: 80, variables: { PAGER: 'less' } };
  const long = await runOnTerminal(victim.host, [program, 'config', 'show'], {
    ...options,
    answer: { to: ':\u001b[K', typed: 'q' },
  });
  // less shows the first screen and waits. The test types q, so that the rest is never shown.
  expect(long.status).toBe(0);
  expect(long.output).toContain(whole[0]);
  expect(long.output).not.toContain(whole.at(-1));
  // Nothing is typed here, so less would wait forever.
  const short = await runOnTerminal(victim.host, [program, 'status'], options);
  expect(seen(short)).toEqual(victim.person(['status']).stdout.trimEnd().split('\n'));
});
